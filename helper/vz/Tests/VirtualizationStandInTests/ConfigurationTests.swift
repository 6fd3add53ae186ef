import Foundation
import Virtualization
import XCTest

final class ConfigurationTests: XCTestCase {
  private let folder = URL(fileURLWithPath: NSTemporaryDirectory()).appendingPathComponent("stand-in-\(UUID())")

  override func setUpWithError() throws {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  override func tearDownWithError() throws { try FileManager.default.removeItem(at: folder) }

  func testAGoodConfigurationIsAccepted() throws {
    let configuration = try TestMachine.configuration()
    try configuration.validate()
    try configuration.validateSaveRestoreSupport()
  }

  func testEachBadValueIsRefusedAsAnInvalidConfiguration() throws {
    let spoils: [(String, (VZVirtualMachineConfiguration) -> Void)] = [
      ("no boot loader", { $0.bootLoader = nil }),
      ("no CPU", { $0.cpuCount = 0 }),
      ("too many CPUs", { $0.cpuCount = VZVirtualMachineConfiguration.maximumAllowedCPUCount + 1 }),
      ("memory not of whole MiB", { $0.memorySize = 256 << 20 | 4096 }),
      ("too little memory", { $0.memorySize = 1 << 20 }),
      ("too much memory", { $0.memorySize = VZVirtualMachineConfiguration.maximumAllowedMemorySize + 1 << 20 }),
      ("two socket devices", { $0.socketDevices += [VZVirtioSocketDeviceConfiguration()] }),
      ("two serial ports", { $0.serialPorts += [VZVirtioConsoleDeviceSerialPortConfiguration()] }),
      ("no kernel", { $0.bootLoader = VZLinuxBootLoader(kernelURL: URL(fileURLWithPath: "/nonexistent")) }),
    ]
    for (name, spoil) in spoils {
      let configuration = try TestMachine.configuration()
      spoil(configuration)
      let reason = expect(.invalidVirtualMachineConfiguration) { try configuration.validate() }
      XCTAssertNotNil(reason, name)
    }
  }

  func testADiskOfOddSizeOrWithoutAFileIsAnInvalidDiskImage() throws {
    let image = folder.appendingPathComponent("disk")
    expect(.invalidDiskImage) { _ = try VZDiskImageStorageDeviceAttachment(url: image, readOnly: true) }
    for size in [0, 511, 513] {
      try Data(count: size).write(to: image)
      expect(.invalidDiskImage) { _ = try VZDiskImageStorageDeviceAttachment(url: image, readOnly: true) }
    }
    expect(.invalidDiskImage) { _ = try VZDiskImageStorageDeviceAttachment(url: folder, readOnly: true) }
    try Data(count: 512).write(to: image)
    XCTAssertTrue(try VZDiskImageStorageDeviceAttachment(url: image, readOnly: true).isReadOnly)
  }

  func testAMachineIdentifierIsRandomAndSurvivesItsData() throws {
    let identifier = VZGenericMachineIdentifier()
    XCTAssertNotEqual(identifier, VZGenericMachineIdentifier())
    XCTAssertEqual(VZGenericMachineIdentifier(dataRepresentation: identifier.dataRepresentation), identifier)
    XCTAssertNil(VZGenericMachineIdentifier(dataRepresentation: Data()))
    XCTAssertNil(VZGenericMachineIdentifier(dataRepresentation: Data("no identifier".utf8)))
  }

  func testAnErrorTellsItsDomainCodeAndReasonAsAnNSErrorToo() {
    let error: any Error = VZError(.restore, userInfo: [NSLocalizedFailureReasonErrorKey: "invalid argument"])
    let bridged = error as NSError
    XCTAssertEqual(bridged.domain, VZErrorDomain)
    XCTAssertEqual(bridged.code, 12)
    XCTAssertEqual(bridged.localizedFailureReason, "invalid argument")
    XCTAssertFalse(bridged.localizedDescription.isEmpty)
  }
}
