import Foundation

/// A configuration's values at the moment the machine was made of it.
struct MachineSpec {
  let kernel: URL
  let initrd: URL?
  let commandLine: String
  let cpus: Int
  let memoryBytes: UInt64
  let disks: [VZDiskImageStorageDeviceAttachment]
  let serial: VZFileHandleSerialPortAttachment?
  let hasSerial: Bool
  let hasSockets: Bool
  let hasEntropy: Bool
  let identifier: Data

  init(_ configuration: VZVirtualMachineConfiguration) throws {
    try configuration.validate()
    guard let loader = configuration.bootLoader as? VZLinuxBootLoader,
      let platform = configuration.platform as? VZGenericPlatformConfiguration
    else { throw VZError(.invalidVirtualMachineConfiguration, "not a Linux machine") }
    kernel = loader.kernelURL
    initrd = loader.initialRamdiskURL
    commandLine = loader.commandLine
    cpus = configuration.cpuCount
    memoryBytes = configuration.memorySize
    disks = configuration.storageDevices.compactMap { $0.attachment as? VZDiskImageStorageDeviceAttachment }
    serial = configuration.serialPorts.first?.attachment as? VZFileHandleSerialPortAttachment
    hasSerial = !configuration.serialPorts.isEmpty
    hasSockets = !configuration.socketDevices.isEmpty
    hasEntropy = !configuration.entropyDevices.isEmpty
    identifier = platform.machineIdentifier.dataRepresentation
  }
}
