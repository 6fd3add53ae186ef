import Foundation
import XCTest

@testable import Virtualization

/// A guest is booted and saved once; every test restores it.
final class RestoredMachineTests: XCTestCase {
  private nonisolated(unsafe) static var folder = URL(fileURLWithPath: NSTemporaryDirectory())
    .appendingPathComponent("stand-in-\(UUID())")
  private nonisolated(unsafe) static var saved: Result<Saved, any Error>?

  private struct Saved {
    let identifier: VZGenericMachineIdentifier
    let file: URL
  }

  override class func tearDown() { try? FileManager.default.removeItem(at: folder) }

  override func setUp() { Fault.forget() }
  override func tearDown() { unsetenv(Fault.variable) }

  private static func save() throws -> Saved {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let saved = Saved(identifier: VZGenericMachineIdentifier(), file: folder.appendingPathComponent("state"))
    let machine = TestMachine(try TestMachine.configuration(identifier: saved.identifier))
    try machine.start()
    try machine.connect(1027).close()
    usleep(200_000)
    try machine.pause()
    try machine.save(saved.file)
    try machine.stop()
    return saved
  }

  private func saved() throws -> Saved {
    let saved = RestoredMachineTests.saved ?? Result { try RestoredMachineTests.save() }
    RestoredMachineTests.saved = saved
    return try saved.get()
  }

  private func restored() throws -> TestMachine {
    let saved = try saved()
    let machine = TestMachine(try TestMachine.configuration(identifier: saved.identifier))
    try machine.restore(saved.file)
    try machine.resume()
    return machine
  }

  private func fault(_ value: String) { setenv(Fault.variable, value, 1) }

  private func ping(_ connection: VZVirtioSocketConnection, _ nonce: String) throws -> String? {
    try connection.send(["type": "Ping", "nonce": nonce])
    return try connection.receive()["nonce"] as? String
  }

  // MARK: Connections

  func testEveryPortOfTheGuestAnswersAndAnyOtherIsRefused() throws {
    let machine = try restored()
    for port in [1024, 1025, 1026] as [UInt32] {
      let connection = try machine.connect(port)
      XCTAssertEqual(connection.destinationPort, port)
      XCTAssertEqual(try ping(connection, "\(port)"), "\(port)")
    }
    XCTAssertThrowsError(try machine.connectOnce(2048)) { XCTAssertEqual(($0 as NSError).code, Int(ECONNRESET)) }
    try machine.stop()
  }

  func testMegabytesArriveWholeInBothDirections() throws {
    let machine = try restored()
    let connection = try machine.connect(1024)
    let nonce = String((0..<3_000_000).map { Character(UnicodeScalar(97 + UInt8(truncatingIfNeeded: $0 * 7 % 26))) })
    let sending = DispatchQueue(label: "sending")
    let sent = Answer<Bool>()
    // The guest answers nothing before it has it all; the socket holds less than that.
    sending.async { sent.give((try? connection.send(["type": "Ping", "nonce": nonce])) != nil) }
    XCTAssertTrue(try sent.take(60))
    usleep(300_000)  // unread, the answer backs up through both bridges
    XCTAssertEqual(try connection.receive()["nonce"] as? String, nonce)
    try machine.stop()
  }

  func testConnectionsFollowEachOtherWithoutMixing() throws {
    let machine = try restored()
    for round in 0..<40 {
      let connection = try machine.connect(1026)
      // Half a frame, which the next connection must not see.
      if round.isMultiple(of: 2) { _ = send(connection.fileDescriptor, [0, 0, 1] as [UInt8], 3, Int32(MSG_NOSIGNAL)) }
      if !round.isMultiple(of: 2) { XCTAssertEqual(try ping(connection, "\(round)"), "\(round)") }
      connection.close()
      XCTAssertEqual(connection.fileDescriptor, -1)
    }
    try machine.stop()
  }

  func testANewConnectionToAPortEndsTheOneBefore() throws {
    let machine = try restored()
    let first = try machine.connect(1026)
    let second = try machine.connect(1026)
    XCTAssertThrowsError(try first.bytes(1)) { XCTAssertTrue($0 is EndOfStream) }
    XCTAssertEqual(try ping(second, "second"), "second")
    try machine.stop()
  }

  func testAConnectionOutlivesAPauseAndEndsWithTheMachine() throws {
    let machine = try restored()
    let connection = try machine.connect(1026)
    try machine.pause()
    try machine.resume()
    XCTAssertEqual(try ping(connection, "after"), "after")
    try machine.stop()
    XCTAssertThrowsError(try connection.bytes(1)) { XCTAssertTrue($0 is EndOfStream) }
    XCTAssertThrowsError(try machine.connectOnce(1026))
  }

  func testAConnectionClosesItsDescriptorOnceAndWithItsLastReference() throws {
    let machine = try restored()
    var connection: VZVirtioSocketConnection? = try machine.connect(1026)
    let number = try XCTUnwrap(connection?.fileDescriptor)
    let copy = dup(number)
    connection = nil
    // The threads that brought it may still be letting go.
    for _ in 0..<100 where fcntl(number, F_GETFD) != -1 { usleep(20_000) }
    XCTAssertEqual(fcntl(number, F_GETFD), -1)
    // A duplicate goes on.
    XCTAssertNotEqual(fcntl(copy, F_GETFD), -1)
    Glibc.close(copy)
    try machine.stop()
  }

  // MARK: How a machine ends

  func testAGuestThatPowersOffStopsItsMachine() throws {
    let machine = try restored()
    let control = try machine.connect(1027)
    _ = try control.receive()
    try control.send(["type": "PowerOff"])
    wait(for: [machine.guestStopped], timeout: 20)
    XCTAssertEqual(machine.state, .stopped)
    XCTAssertTrue(machine.queue.sync { machine.vm.canStart })
  }

  func testAMachineThatDiesEndsInAnErrorAndMayBeRestoredByAnother() throws {
    let machine = try restored()
    let pid = try XCTUnwrap(qemus().first)
    Glibc.kill(pid, SIGKILL)
    wait(for: [machine.failed], timeout: 20)
    XCTAssertEqual(machine.state, .error)
    XCTAssertTrue(machine.queue.sync { machine.vm.canStart })
    try restored().stop()
  }

  func testAMachineEndsWithItsObject() throws {
    var machine: TestMachine? = try restored()
    XCTAssertEqual(qemus().count, 1)
    XCTAssertEqual(machine?.state, .running)
    machine = nil
    for _ in 0..<100 where !qemus().isEmpty { usleep(50_000) }
    XCTAssertEqual(qemus(), [])
  }

  func testManyMachinesLeaveNoDescriptorAndNoProcess() throws {
    try restored().stop()
    let before = descriptors()
    for _ in 0..<8 {
      let machine = try restored()
      _ = try machine.connect(1026)
      try machine.stop()
    }
    for _ in 0..<40 where descriptors() > before { usleep(50_000) }
    XCTAssertLessThanOrEqual(descriptors(), before)
    XCTAssertEqual(qemus(), [])
  }

  // MARK: Restoring

  func testTwoMachinesOfOneIdentifierLiveUnlessTheHostRefuses() throws {
    let first = try restored()
    let second = try restored()
    XCTAssertEqual(try ping(second.connect(1026), "second"), "second")
    try second.stop()
    fault("one-of-an-identifier")
    XCTAssertEqual(expect(.restore) { _ = try restored() }, "invalid argument")
    try first.stop()
    try restored().stop()
  }

  func testARunningMachineTakesNoStateAndAnotherIdentifierIsRefused() throws {
    let saved = try saved()
    let machine = try restored()
    expect(.invalidVirtualMachineStateTransition) { try machine.restore(saved.file) }
    expect(.invalidVirtualMachineStateTransition) { try machine.start() }
    try machine.stop()
    let other = TestMachine(try TestMachine.configuration())
    XCTAssertEqual(expect(.restore) { try other.restore(saved.file) }, "invalid argument")
  }

  func testAMachineThatCouldNotBeRestoredCanBeStarted() throws {
    let machine = TestMachine(try TestMachine.configuration())
    expect(.restore) { try machine.restore(try saved().file) }
    try machine.start()
    XCTAssertEqual(try machine.connect(1027).receive()["type"] as? String, "Hello")
    try machine.stop()
  }

  // MARK: Faults of a live machine

  func testASaveThatIsDeniedLeavesTheMachinePausedAndNoFile() throws {
    let machine = try restored()
    try machine.pause()
    let file = RestoredMachineTests.folder.appendingPathComponent("denied")
    fault("save-denied")
    XCTAssertEqual(expect(.save) { try machine.save(file) }, "permission denied")
    fault("save-no-space")
    expect(.outOfDiskSpace) { try machine.save(file) }
    XCTAssertEqual(machine.state, .paused)
    XCTAssertFalse(FileManager.default.fileExists(atPath: file.path))
    unsetenv(Fault.variable)
    try machine.save(file)
    try machine.stop()
  }

  func testASilentStepNeverCompletes() throws {
    for (name, during, step) in [
      ("pause-silent", VZVirtualMachine.State.pausing, { (vm, done) in vm.pause { _ in done() } }),
      ("stop-silent", .stopping, { (vm, done) in vm.stop { _ in done() } }),
    ] as [(String, VZVirtualMachine.State, (VZVirtualMachine, @escaping () -> Void) -> Void)] {
      let machine = try restored()
      fault(name)
      let done = Answer<Bool>()
      machine.queue.async { step(machine.vm) { done.give(true) } }
      XCTAssertThrowsError(try done.take(0.5), name)
      XCTAssertEqual(machine.state, during)
      unsetenv(Fault.variable)
    }
  }

  func testAConnectMayStaySilentOrBeHalfOpen() throws {
    let machine = try restored()
    fault("connect-silent:1")
    let done = Answer<Bool>()
    machine.queue.async {
      (machine.vm.socketDevices.first as? VZVirtioSocketDevice)?.connect(toPort: 1026) { _ in done.give(true) }
    }
    XCTAssertThrowsError(try done.take(0.5))
    XCTAssertEqual(try ping(machine.connect(1026), "second try"), "second try")
    fault("connect-half-open:1")
    XCTAssertThrowsError(try machine.connect(1026).bytes(1)) { XCTAssertTrue($0 is EndOfStream) }
    XCTAssertEqual(try ping(machine.connect(1026), "again"), "again")
    try machine.stop()
  }

  func testAPowerButtonThatNobodyReadsChangesNothing() throws {
    let machine = try restored()
    fault("request-stop-ignored")
    try machine.queue.sync { try machine.vm.requestStop() }
    usleep(200_000)
    XCTAssertEqual(machine.state, .running)
    try machine.stop()
  }

  // MARK: Looking around

  private func descriptors() -> Int { (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? -1 }

  /// QEMUs below this process: children of its launchers.
  private func qemus() -> [pid_t] {
    let parents = Dictionary(
      uniqueKeysWithValues: ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [])
        .compactMap { pid_t($0) }.compactMap { pid in RestoredMachineTests.parent(pid).map { (pid, $0) } })
    let launchers = Set(parents.filter { $0.value == getpid() }.keys)
    return parents.filter { launchers.contains($0.value) }.keys.sorted()
  }

  private static func parent(_ pid: pid_t) -> pid_t? {
    guard let status = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8),
      let line = status.split(separator: "\n").first(where: { $0.hasPrefix("PPid:") })
    else { return nil }
    return pid_t(line.dropFirst(5).trimmingCharacters(in: .whitespaces))
  }
}
