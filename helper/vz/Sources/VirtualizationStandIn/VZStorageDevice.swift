import Foundation

open class VZStorageDeviceAttachment: NSObject {
  override init() { super.init() }
}

public enum VZDiskImageCachingMode: Int, Sendable {
  case automatic = 0
  case uncached = 1
  case cached = 2
}

public enum VZDiskImageSynchronizationMode: Int, Sendable {
  case full = 1
  case fsync = 2
  case none = 3
}

/// A raw disk image. Opened when the attachment is made, so that the machine has this very file, whatever its path
/// names later.
public final class VZDiskImageStorageDeviceAttachment: VZStorageDeviceAttachment {
  public let url: URL
  public let isReadOnly: Bool
  public let cachingMode: VZDiskImageCachingMode
  public let synchronizationMode: VZDiskImageSynchronizationMode
  let file: Descriptor
  let capacity: UInt64

  public convenience init(url: URL, readOnly: Bool) throws {
    try self.init(url: url, readOnly: readOnly, cachingMode: .automatic, synchronizationMode: .full)
  }

  public init(
    url: URL, readOnly: Bool, cachingMode: VZDiskImageCachingMode,
    synchronizationMode: VZDiskImageSynchronizationMode
  ) throws {
    file = try Descriptor.open(url, readOnly ? O_RDONLY : O_RDWR, refusal: .invalidDiskImage)
    let status = try file.status()
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw VZError(.invalidDiskImage, "The disk image is not a regular file.")
    }
    guard status.st_size > 0, status.st_size % 512 == 0 else {
      throw VZError(.invalidDiskImage, "The size of the disk image is not a multiple of 512 bytes.")
    }
    capacity = UInt64(status.st_size)
    self.url = url
    isReadOnly = readOnly
    self.cachingMode = cachingMode
    self.synchronizationMode = synchronizationMode
    super.init()
  }
}

open class VZStorageDeviceConfiguration: NSObject {
  public let attachment: VZStorageDeviceAttachment

  init(attachment: VZStorageDeviceAttachment) {
    self.attachment = attachment
    super.init()
  }
}

public final class VZVirtioBlockDeviceConfiguration: VZStorageDeviceConfiguration {
  public override init(attachment: VZStorageDeviceAttachment) {
    super.init(attachment: attachment)
  }
}
