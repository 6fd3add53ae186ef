import Foundation
import XCTest

final class TrapTests: XCTestCase {
  func testACallOnTheQueueDoesNotTrap() throws {
    XCTAssertEqual(try ending(of: "nothing"), .exit)
  }

  func testEveryCallOffTheQueueTraps() throws {
    for call in [
      "state", "start", "pause", "resume", "stop", "requestStop", "save", "restore", "delegate", "connect",
    ] {
      XCTAssertEqual(try ending(of: call), .uncaughtSignal, call)
    }
  }

  private func ending(of call: String) throws -> Process.TerminationReason {
    let process = Process()
    // Built beside the tests.
    process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
      .deletingLastPathComponent().appendingPathComponent("stand-in-trap")
    process.arguments = [call]
    // No backtrace: it takes seconds, and the trap is what we want.
    process.environment = ["SWIFT_BACKTRACE": "enable=no"]
    process.standardError = FileHandle(forWritingAtPath: "/dev/null")
    try process.run()
    process.waitUntilExit()
    return process.terminationReason
  }
}
