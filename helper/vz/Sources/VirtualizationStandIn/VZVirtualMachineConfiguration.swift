import Foundation

/// The devices that the helper gives a machine; the framework's others are left out, so that using one does not compile.
open class VZVirtualMachineConfiguration: NSObject {
  public var bootLoader: VZBootLoader?
  public var cpuCount = 1
  /// Bytes, a multiple of 1 MiB.
  public var memorySize: UInt64 = 512 * mebibyte
  public var platform: VZPlatformConfiguration = VZGenericPlatformConfiguration()
  public var storageDevices: [VZStorageDeviceConfiguration] = []
  public var socketDevices: [VZSocketDeviceConfiguration] = []
  public var serialPorts: [VZSerialPortConfiguration] = []
  public var entropyDevices: [VZEntropyDeviceConfiguration] = []

  public class var minimumAllowedMemorySize: UInt64 { 4 * mebibyte }
  public class var maximumAllowedMemorySize: UInt64 { ProcessInfo.processInfo.physicalMemory / mebibyte * mebibyte }
  public class var minimumAllowedCPUCount: Int { 1 }
  /// Two at least: emulated CPUs need no cores of their own.
  public class var maximumAllowedCPUCount: Int { max(2, ProcessInfo.processInfo.activeProcessorCount) }

  public override init() { super.init() }

  /// Throws a `VZError` for what no machine could be made of.
  public func validate() throws {
    if Fault.entitlementMissing.strikes() { throw VZError.entitlement }
    if Fault.unsupported.isSet { throw VZError.unsupported }
    guard let linux = bootLoader as? VZLinuxBootLoader else { throw refusal("The boot loader is not set.") }
    guard platform is VZGenericPlatformConfiguration else {
      throw refusal("The Linux boot loader needs the generic platform.")
    }
    guard (Self.minimumAllowedCPUCount...Self.maximumAllowedCPUCount).contains(cpuCount) else {
      throw refusal("\(cpuCount) is not a number of CPUs that this host can give.")
    }
    guard memorySize % mebibyte == 0,
      (Self.minimumAllowedMemorySize...Self.maximumAllowedMemorySize).contains(memorySize)
    else { throw refusal("\(memorySize) bytes is not a memory size that this host can give.") }
    for url in [linux.kernelURL, linux.initialRamdiskURL].compactMap({ $0 })
    where access(url.path, R_OK) != 0 { throw refusal("\(url.path) cannot be read.") }
    guard socketDevices.count <= 1 else { throw refusal("At most one socket device is supported.") }
    guard serialPorts.count <= 1 else { throw refusal("The stand-in has one serial port.") }
    guard entropyDevices.count <= 1 else { throw refusal("The stand-in has one entropy device.") }
    guard storageDevices.allSatisfy({ $0.attachment is VZDiskImageStorageDeviceAttachment }) else {
      throw refusal("The stand-in takes disk images only.")
    }
  }

  /// Throws where the configuration could run but not be saved.
  @available(macOS 14.0, *)
  public func validateSaveRestoreSupport() throws {
    if Fault.saveUnsupported.isSet {
      throw VZError(.notSupported, "Unsupported device in configuration.")
    }
  }

  private func refusal(_ reason: String) -> VZError { VZError(.invalidVirtualMachineConfiguration, reason) }
}

let mebibyte: UInt64 = 1 << 20

extension VZError {
  /// What a process without the entitlement is told, by `validate` as by `start`.
  static let entitlement = VZError(
    .invalidVirtualMachineConfiguration,
    "The process doesn’t have the “com.apple.security.virtualization” entitlement.")
  static let unsupported = VZError(
    .invalidVirtualMachineConfiguration, "Virtualization is not available on this hardware.")
}
