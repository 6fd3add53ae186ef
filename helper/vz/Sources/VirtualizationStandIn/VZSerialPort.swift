import Foundation

open class VZSerialPortAttachment: NSObject {
  override init() { super.init() }
}

/// The machine reads its input from the first handle and writes the guest's output to the second.
public final class VZFileHandleSerialPortAttachment: VZSerialPortAttachment {
  public let fileHandleForReading: FileHandle?
  public let fileHandleForWriting: FileHandle?

  public init(fileHandleForReading: FileHandle?, fileHandleForWriting: FileHandle?) {
    for handle in [fileHandleForReading, fileHandleForWriting].compactMap({ $0 }) {
      precondition(fcntl(handle.fileDescriptor, F_GETFD) != -1, "a file handle without a valid descriptor")
    }
    self.fileHandleForReading = fileHandleForReading
    self.fileHandleForWriting = fileHandleForWriting
    super.init()
  }
}

open class VZSerialPortConfiguration: NSObject {
  public var attachment: VZSerialPortAttachment?

  override init() { super.init() }
}

public final class VZVirtioConsoleDeviceSerialPortConfiguration: VZSerialPortConfiguration {
  public override init() { super.init() }
}
