import Foundation
import XCTest

@testable import BSMHelperCore

/// The checkout that these tests lie in.
let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

/// A directory of a test's own, gone with it.
final class Scratch {
    let path: String

    init() throws {
        path = Files.join(NSTemporaryDirectory(), "bsm-\(toHex(randomBytes(6)))")
        try Files.makeDirectory(path)
    }

    deinit { Files.remove(path) }

    func file(_ name: String, _ bytes: [UInt8] = []) throws -> String {
        let path = self.path(name)
        try Files.create(path, bytes)
        return path
    }

    func path(_ name: String) -> String { Files.join(path, name) }
}

/// Runs `body`, which must fail with that code, and gives the error.
@discardableResult
func refused(
    _ code: ErrorCode, file: StaticString = #filePath, line: UInt = #line, _ body: () throws -> Void
) -> BsmError? {
    do {
        try body()
        XCTFail("nothing was refused", file: file, line: line)
    } catch let error as BsmError {
        XCTAssertEqual(error.code, code, error.message, file: file, line: line)
        XCTAssertTrue(error.message.contains(" "), "not a sentence: \(error.message)", file: file, line: line)
        return error
    } catch {
        XCTFail("\(error)", file: file, line: line)
    }
    return nil
}

/// Waits until `condition` holds, at most five seconds.
func eventually(_ what: String, file: StaticString = #filePath, line: UInt = #line, _ condition: () -> Bool) {
    let end = now() + 5_000
    while now() < end {
        if condition() { return }
        sleep(ms: 5)
    }
    XCTFail("never: \(what)", file: file, line: line)
}

func json(_ text: String) throws -> JSON { try JSON.parse(text) }

let someDigest = "sha256:" + String(repeating: "ab", count: 32)
let someId = "3f0c7a52-9a39-4a3e-8d4b-5b6c1f0f6a11"

func execRequest(_ text: String = "\"params\":{}", deadlineMs: Int = 5000) throws -> ExecRequest {
    let request = try HelperRequest(
        try json("{\"kind\":\"exec\",\"request_id\":\"\(newUUID())\",\"command_id\":\"\(someId)\",\"tool\":\"echo\",\"deadline_ms\":\(deadlineMs),\(text)}"))
    guard case .exec(let exec) = request.kind else { throw FormError(description: "not an exec") }
    return exec
}

let aMac = PlatformFacts(
    system: .macOS(major: 14, minor: 5, patch: 0), architecture: "arm64", isTranslated: false, isAppleSilicon: true, hasHypervisor: true,
    isInsideVM: false, hasEntitlement: true, frameworkSupported: true, isConsoleLocked: false, osBuild: "23F79", hostId: "HOST",
    frameworkVersion: 14)
