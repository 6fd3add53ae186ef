import Foundation

open class VZEntropyDeviceConfiguration: NSObject {
  override init() { super.init() }
}

public final class VZVirtioEntropyDeviceConfiguration: VZEntropyDeviceConfiguration {
  public override init() { super.init() }
}
