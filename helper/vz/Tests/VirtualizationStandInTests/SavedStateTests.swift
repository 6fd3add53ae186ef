import CStandIn
import Foundation
import XCTest

@testable import Virtualization

/// The file of a saved machine, without a machine.
final class SavedStateTests: XCTestCase {
  private let folder = URL(fileURLWithPath: NSTemporaryDirectory()).appendingPathComponent("stand-in-\(UUID())")
  private var file: URL { folder.appendingPathComponent("state") }

  override func setUpWithError() throws {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  override func tearDownWithError() throws { try FileManager.default.removeItem(at: folder) }

  private func spec(
    _ identifier: VZGenericMachineIdentifier, _ change: (VZVirtualMachineConfiguration) -> Void = { _ in }
  ) throws -> MachineSpec {
    let configuration = try TestMachine.configuration(identifier: identifier, memory: 16)
    change(configuration)
    return try MachineSpec(configuration)
  }

  /// Memory with a page here and there, and device state.
  private func save(_ spec: MachineSpec, owner: SavedState.Owner = .current) throws -> (memory: Data, device: Data) {
    var bytes = Data(count: Int(spec.memoryBytes))
    for page in [0, 1, 2, 40, 1000, 4095] { bytes.replaceSubrange(page * 4096 + 7..<page * 4096 + 9, with: [1, 2]) }
    let memory = try Descriptor.memory("ram", bytes: spec.memoryBytes)
    for page in [0, 1, 2, 40, 1000, 4095] { pwrite(memory.number, [1, 2] as [UInt8], 2, off_t(page * 4096 + 7)) }
    // Touched, and zero again.
    pwrite(memory.number, [0] as [UInt8], 1, 2000 * 4096)
    let device = try Descriptor.memory("device", bytes: 0)
    let deviceBytes = Data((0..<5000).map { UInt8($0 % 251) })
    _ = deviceBytes.withUnsafeBytes { pwrite(device.number, $0.baseAddress, $0.count, 0) }
    let header = SavedState.Header(owner: owner, facts: SavedState.Facts(spec), openPorts: [1024, 1027])
    try SavedState.create(file) { try SavedState.write(header, device: device, memory: memory, to: $0) }
    return (bytes, deviceBytes)
  }

  private func contents(_ descriptor: Descriptor) throws -> Data {
    var bytes = Data(count: Int(try descriptor.status().st_size))
    let count = bytes.count
    let n = bytes.withUnsafeMutableBytes { pread(descriptor.number, $0.baseAddress, count, 0) }
    XCTAssertEqual(n, count)
    return bytes
  }

  func testWhatWasSavedComesBackByteForByteWithoutItsZeros() throws {
    let spec = try spec(VZGenericMachineIdentifier())
    let saved = try save(spec)
    let size = try FileManager.default.attributesOfItem(atPath: file.path)[.size] as? Int ?? .max
    XCTAssertLessThan(size, 1 << 20)
    let reader = try SavedState.open(file, for: spec)
    XCTAssertEqual(reader.header.openPorts, [1024, 1027])
    XCTAssertEqual(try contents(SavedState.device(reader)), saved.device)
    let memory = try Descriptor.memory("ram", bytes: spec.memoryBytes)
    try SavedState.fill(memory, reader)
    XCTAssertEqual(try contents(memory), saved.memory)
  }

  func testAnotherMachineIsAnInvalidArgument() throws {
    let identifier = VZGenericMachineIdentifier()
    _ = try save(try spec(identifier))
    let others: [(String, MachineSpec)] = try [
      ("identifier", spec(VZGenericMachineIdentifier())),
      ("memory", spec(identifier) { $0.memorySize = 32 << 20 }),
      ("entropy device", spec(identifier) { $0.entropyDevices = [] }),
      ("serial port", spec(identifier) { $0.serialPorts = [] }),
      ("socket device", spec(identifier) { $0.socketDevices = [] }),
      ("disks", spec(identifier) { $0.storageDevices += $0.storageDevices }),
    ]
    for (name, other) in others {
      XCTAssertEqual(expect(.restore) { _ = try SavedState.open(file, for: other) }, "invalid argument", name)
    }
    XCTAssertNoThrow(try SavedState.open(file, for: try spec(identifier)))
  }

  func testAnotherHostOrUserIsDenied() throws {
    let spec = try spec(VZGenericMachineIdentifier())
    _ = try save(spec, owner: SavedState.Owner(host: "another", user: getuid()))
    XCTAssertEqual(expect(.restore) { _ = try SavedState.open(file, for: spec) }, "permission denied")
  }

  func testATruncatedFileIsAnInvalidArgumentWhereverItEnds() throws {
    let spec = try spec(VZGenericMachineIdentifier())
    _ = try save(spec)
    let whole = try Data(contentsOf: file)
    for length in [0, 10, 30, whole.count / 2, whole.count - 1] {
      try whole.prefix(length).write(to: file)
      let reason = expect(.restore) {
        let reader = try SavedState.open(file, for: spec)
        _ = try SavedState.device(reader)
        try SavedState.fill(try Descriptor.memory("ram", bytes: spec.memoryBytes), reader)
      }
      XCTAssertEqual(reason, "invalid argument", "\(length) bytes")
    }
  }

  func testAnExistingFileIsNotOverwritten() throws {
    try Data("mine".utf8).write(to: file)
    expect(.save) { try SavedState.create(file) { _ in XCTFail("opened") } }
    XCTAssertEqual(try Data(contentsOf: file), Data("mine".utf8))
  }

  func testAFailedSaveLeavesNoFile() {
    XCTAssertThrowsError(try SavedState.create(file) { _ in throw POSIXError(.EIO) })
    XCTAssertFalse(FileManager.default.fileExists(atPath: file.path))
  }
}
