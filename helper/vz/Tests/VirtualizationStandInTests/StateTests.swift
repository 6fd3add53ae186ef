import Foundation
import XCTest

@testable import Virtualization

/// What may be called when, and what each fault switch does; no guest is started unless a test says so.
final class StateTests: XCTestCase {
  private let missing = URL(fileURLWithPath: "/nonexistent/state")

  override func setUp() { Fault.forget() }
  override func tearDown() { unsetenv(Fault.variable) }

  private func fault(_ value: String) { setenv(Fault.variable, value, 1) }

  func testAStoppedMachineCanOnlyBeStartedOrRestored() throws {
    let machine = TestMachine(try TestMachine.configuration())
    let can = machine.queue.sync {
      [machine.vm.canStart, machine.vm.canPause, machine.vm.canResume, machine.vm.canStop, machine.vm.canRequestStop]
    }
    XCTAssertEqual(can, [true, false, false, false, false])
    expect(.invalidVirtualMachineStateTransition) { try machine.pause() }
    expect(.invalidVirtualMachineStateTransition) { try machine.resume() }
    expect(.invalidVirtualMachineStateTransition) { try machine.stop() }
    expect(.invalidVirtualMachineStateTransition) { try machine.queue.sync { try machine.vm.requestStop() } }
    expect(.invalidVirtualMachineState) { try machine.save(missing) }
    XCTAssertEqual(machine.state, .stopped)
  }

  func testAConnectWithoutAMachineIsReset() throws {
    let machine = TestMachine(try TestMachine.configuration())
    XCTAssertThrowsError(try machine.connectOnce(1024)) { error in
      XCTAssertEqual((error as NSError).domain, NSPOSIXErrorDomain)
      XCTAssertEqual((error as NSError).code, Int(ECONNRESET))
    }
  }

  func testARestoreOfWhatIsNoStateLeavesTheMachineStopped() throws {
    let machine = TestMachine(try TestMachine.configuration())
    expect(.restore) { try machine.restore(missing) }
    XCTAssertEqual(expect(.restore) { try machine.restore(URL(fileURLWithPath: "/proc/self/exe")) }, "invalid argument")
    XCTAssertEqual(machine.state, .stopped)
  }

  func testWithoutTheEntitlementNothingValidatesOrStarts() throws {
    let configuration = try TestMachine.configuration()
    let machine = TestMachine(configuration)
    fault("entitlement-missing")
    for attempt in [configuration.validate, machine.start, { try machine.restore(self.missing) }] {
      let reason = expect(.invalidVirtualMachineConfiguration, attempt)
      XCTAssertEqual(reason?.contains("com.apple.security.virtualization"), true)
    }
    fault("start-denied")
    XCTAssertNoThrow(try configuration.validate())
    expect(.invalidVirtualMachineConfiguration) { try machine.start() }
    XCTAssertEqual(machine.state, .stopped)
  }

  func testOnHardwareWithoutVirtualizationNothingIsSupported() throws {
    XCTAssertTrue(VZVirtualMachine.isSupported)
    let configuration = try TestMachine.configuration()
    fault("unsupported")
    XCTAssertFalse(VZVirtualMachine.isSupported)
    expect(.invalidVirtualMachineConfiguration) { try configuration.validate() }
  }

  func testAConfigurationMayRunAndNotBeSaved() throws {
    fault("save-unsupported")
    let configuration = try TestMachine.configuration()
    XCTAssertNoThrow(try configuration.validate())
    expect(.notSupported) { try configuration.validateSaveRestoreSupport() }
  }

  func testARestoreFailsAsAMacLetsItFail() throws {
    let machine = TestMachine(try TestMachine.configuration())
    for (name, code, reason) in [
      ("restore-invalid-argument", VZError.Code.restore, "invalid argument"),
      ("restore-permission-denied", .restore, "permission denied"),
      ("restore-fails", .internalError, "The virtual machine service failed."),
    ] {
      fault(name)
      XCTAssertEqual(expect(code) { try machine.restore(missing) }, reason)
      XCTAssertEqual(machine.state, .stopped)
    }
  }

  func testAFaultStrikesAsOftenAsItSays() throws {
    fault("start-fails:1,connect-silent:+1")
    XCTAssertTrue(Fault.startFails.strikes())
    XCTAssertFalse(Fault.startFails.strikes())
    XCTAssertFalse(Fault.connectSilent.strikes())
    XCTAssertTrue(Fault.connectSilent.strikes())
    XCTAssertFalse(Fault.stopSilent.strikes())
  }

  func testWhatRunsIsCalledWhatAFileSaysWhileItIsThere() throws {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("state-\(getpid())")
    defer { try? FileManager.default.removeItem(at: file) }
    fault("state-forged:\(file.path)")
    let machine = TestMachine(try TestMachine.configuration())
    try "paused\n".write(to: file, atomically: true, encoding: .utf8)
    XCTAssertEqual(machine.state, .stopped)
    try machine.start()
    XCTAssertEqual(machine.state, .paused)
    try "internal-error".write(to: file, atomically: true, encoding: .utf8)
    XCTAssertEqual(machine.state, .error)
    try FileManager.default.removeItem(at: file)
    XCTAssertEqual(machine.state, .running)
    try machine.stop()
  }

  func testAStartThatQemuRefusesFailsWithItsWords() throws {
    setenv("BSM_QEMU", "/bin/false", 1)
    defer { unsetenv("BSM_QEMU") }
    let machine = TestMachine(try TestMachine.configuration())
    expect(.internalError) { try machine.start() }
    XCTAssertEqual(machine.state, .stopped)
  }
}
