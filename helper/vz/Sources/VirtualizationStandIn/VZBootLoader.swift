import Foundation

open class VZBootLoader: NSObject {
  override init() { super.init() }
}

/// Boots an uncompressed ARM64 `Image` on the generic platform.
public final class VZLinuxBootLoader: VZBootLoader {
  public var kernelURL: URL
  public var commandLine = ""
  public var initialRamdiskURL: URL?

  public init(kernelURL: URL) {
    self.kernelURL = kernelURL
    super.init()
  }
}
