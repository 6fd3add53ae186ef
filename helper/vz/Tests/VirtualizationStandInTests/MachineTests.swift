import Foundation
import Virtualization
import XCTest

/// A real guest behind the framework's calls.
final class MachineTests: XCTestCase {
  private var folder = URL(fileURLWithPath: NSTemporaryDirectory()).appendingPathComponent("stand-in-\(UUID())")

  override func setUpWithError() throws {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  override func tearDownWithError() throws { try FileManager.default.removeItem(at: folder) }

  func testAGuestBootsAnswersIsSavedAndLivesOnInAnotherMachine() throws {
    let console = Pipe()
    let identifier = VZGenericMachineIdentifier()
    let first = TestMachine(
      try TestMachine.configuration(identifier: identifier, console: console.fileHandleForWriting))
    try first.start()
    XCTAssertEqual(first.state, .running)
    let control = try first.connect(1027)
    let hello = try control.receive()
    XCTAssertEqual(hello["type"] as? String, "Hello")
    try control.send(["type": "Ping", "nonce": "a"])
    XCTAssertEqual(try control.receive()["nonce"] as? String, "a")
    // The guest hears of our close before it is saved.
    control.close()
    XCTAssertEqual(control.fileDescriptor, -1)
    usleep(200_000)

    let state = folder.appendingPathComponent("state")
    XCTAssertNotNil(expect(.invalidVirtualMachineState) { try first.save(state) })
    XCTAssertFalse(FileManager.default.fileExists(atPath: state.path))
    try first.pause()
    XCTAssertEqual(first.state, .paused)
    try first.save(state)
    XCTAssertEqual(first.state, .paused)
    let attributes = try FileManager.default.attributesOfItem(atPath: state.path)
    XCTAssertEqual(attributes[.posixPermissions] as? Int, 0o600)
    XCTAssertLessThan(attributes[.size] as? Int ?? .max, 200 << 20, "pages of zeros are left out")
    expect(.save) { try first.save(state) }
    try first.save(folder.appendingPathComponent("state-2"))

    // A saved machine goes on when it is told to.
    try first.resume()
    XCTAssertEqual(try first.connect(1027).receive()["boot_id"] as? String, hello["boot_id"] as? String)
    try first.stop()
    XCTAssertEqual(first.state, .stopped)

    let second = TestMachine(try TestMachine.configuration(identifier: identifier))
    try second.restore(state)
    XCTAssertEqual(second.state, .paused)
    try second.resume()
    let again = try second.connect(1027).receive()
    XCTAssertEqual(again["boot_id"] as? String, hello["boot_id"] as? String)
    XCTAssertEqual(again["ram_nonce"] as? String, hello["ram_nonce"] as? String)
    try second.stop()
  }
}
