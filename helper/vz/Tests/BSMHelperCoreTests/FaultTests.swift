import Foundation
import XCTest

@testable import BSMHelperCore

/// The helper as a program with a real VM behind it, and what a Mac can show that Linux cannot, by switch.
final class HelperProgram {
    let scratch: Scratch
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()
    private var lines = LineSplitter()
    private var held: [JSON] = []

    /// `scratch` of an earlier one boots in its state directory.
    init(_ arguments: [String]? = nil, faults: String = "", asMacOS: Int? = nil, in scratch: Scratch? = nil) throws {
        self.scratch = try scratch ?? Scratch()
        process.executableURL = URL(fileURLWithPath: try HelperProgram.path())
        process.arguments = try arguments ?? HelperProgram.bootArguments(self.scratch)
        var environment = ProcessInfo.processInfo.environment
        environment["BSM_STAND_IN_FAULTS"] = faults
        environment["BSM_VZ_AS_MACOS"] = asMacOS.map(String.init)
        environment["BSM_CONFIG_DIR"] = self.scratch.path("config")
        if environment["BSM_LAUNCHER"] == nil { environment["BSM_LAUNCHER"] = Files.join(repository, "dist/bsm-launcher") }
        process.environment = environment
        process.standardInput = input
        process.standardOutput = output
        try process.run()
    }

    deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

    static let image = Files.join(repository, "out/guest/base")

    private static func path() throws -> String {
        let folders = [Bundle(for: HelperProgram.self).bundleURL.deletingLastPathComponent(), Bundle.main.bundleURL]
        let path = folders.map { $0.appendingPathComponent("bsm-vz-helper").path }.first { access($0, X_OK) == 0 }
        return try XCTUnwrap(path, "bsm-vz-helper was not built beside the tests")
    }

    private static func bootArguments(_ scratch: Scratch) throws -> [String] {
        let manifest = try JSON.parse(try Files.read(Files.join(image, "manifest.json"), limit: 4_000_000))
        return [
            "boot", "--kernel", Files.join(image, "Image"), "--initrd", Files.join(image, "initrd.img"), "--rootfs",
            Files.join(image, "rootfs.img"), "--cmdline", manifest["cmdline"]?.text ?? "", "--cpus", "1", "--memory-mib", "256",
            "--state-dir", scratch.path("state"), "--socket", "none",
        ]
    }

    /// The next message that `wanted` takes; others are dropped.
    func message(ms: Double = 90_000, _ wanted: (JSON) -> Bool) throws -> JSON {
        let end = now() + ms
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            while !held.isEmpty {
                let next = held.removeFirst()
                if wanted(next) { return next }
            }
            let fd = output.fileHandleForReading.fileDescriptor
            guard try readable(fd, ms: end - now()) else { throw FormError(description: "the helper said nothing") }
            let count = read(fd, &buffer, buffer.count)
            guard count > 0 else { throw FormError(description: "the helper has ended") }
            held += try lines.push(Array(buffer[..<count])).compactMap { line in
                guard case .line(let bytes) = line else { return nil }
                return try JSON.parse(bytes)
            }
        }
    }

    func signal(_ number: Int32) { kill(process.processIdentifier, number) }

    func bootResult() throws -> JSON { try message { $0["kind"]?.text == "boot_result" } }

    func request(_ kind: String, _ more: JSON = .object([])) throws -> JSON {
        let id = newUUID()
        let request = JSON.record(["kind": JSON(kind), "request_id": JSON(id)]).joined(more)
        input.fileHandleForWriting.write(Data(request.bytes + [10]))
        return try message { $0["request_id"]?.text == id }
    }

    func echo(_ text: String) throws -> JSON {
        try request(
            "exec",
            .record([
                "command_id": JSON(newUUID()), "tool": JSON("echo"), "params": .record(["text": JSON(text)]), "deadline_ms": JSON(30_000),
            ]))
    }

    /// Ends it by EOF, if it has not ended by itself.
    func exitCode() throws -> Int32 {
        try? input.fileHandleForWriting.close()
        let end = now() + 40_000
        while process.isRunning, now() < end { sleep(ms: 10) }
        XCTAssertFalse(process.isRunning, "the helper does not end")
        return process.isRunning ? -1 : process.terminationStatus
    }
}

final class FaultTests: XCTestCase {
    /// A boot that must fail, with these words and that exit code.
    private func failing(_ faults: String, _ words: String, _ exit: Int32, file: StaticString = #filePath, line: UInt = #line) throws {
        let helper = try HelperProgram(faults: faults)
        let result = try helper.bootResult()
        XCTAssertEqual(result["ok"]?.bytes, JSON(false).bytes, file: file, line: line)
        let message = result["error"]?["message"]?.text ?? ""
        XCTAssertTrue(message.contains(words), message, file: file, line: line)
        XCTAssertNotNil(result["error"]?["next_step"]?.text, file: file, line: line)
        XCTAssertEqual(try helper.exitCode(), exit, file: file, line: line)
    }

    private func passes(_ reset: JSON, _ path: BootPath, file: StaticString = #filePath, line: UInt = #line) {
        XCTAssertEqual(reset["verification_passed"]?.bytes, JSON(true).bytes, String(decoding: reset.bytes, as: UTF8.self), file: file, line: line)
        XCTAssertEqual(reset["reset_path"]?.text, path.rawValue, file: file, line: line)
    }

    /// A boot that falls back to cold, says why, and serves; with `resets`, its resets are cold boots that pass.
    private func cold(
        _ faults: String, _ words: String, asMacOS: Int? = nil, resets: Bool = false, file: StaticString = #filePath,
        line: UInt = #line
    ) throws {
        let helper = try HelperProgram(faults: faults, asMacOS: asMacOS)
        let result = try helper.bootResult()
        XCTAssertEqual(result["ok"]?.bytes, JSON(true).bytes, String(decoding: result.bytes, as: UTF8.self), file: file, line: line)
        XCTAssertEqual(result["boot_path"]?.text, "cold_boot", file: file, line: line)
        let reason = result["cold_boot_reason"]?.text ?? ""
        XCTAssertTrue(reason.contains(words), reason, file: file, line: line)
        XCTAssertEqual(try helper.echo("hé")["stdout"]?.text, "hé\n", file: file, line: line)
        if resets {
            passes(try helper.request("reset"), .coldBoot, file: file, line: line)
            XCTAssertEqual(try helper.echo("again")["stdout"]?.text, "again\n", file: file, line: line)
        }
        XCTAssertEqual(try helper.exitCode(), 0, file: file, line: line)
    }

    func testAStartThatIsDeniedNamesTheEntitlement() throws {
        try failing("entitlement-missing", "entitlement", Exit.vmLifecycle)
        try failing("start-denied", "entitlement", Exit.vmLifecycle)
    }

    func testAServiceThatFailsToStartIsSaid() throws { try failing("start-fails", "failed to start", Exit.vmLifecycle) }

    func testWithoutVirtualizationPreflightAndBootSaySo() throws {
        let preflight = try HelperProgram(["preflight"], faults: "unsupported")
        let report = try preflight.message { _ in true }
        guard case .array(let rejections)? = report["rejections"] else { return XCTFail("no rejections") }
        XCTAssertEqual(rejections.first?["code"]?.text, "VIRTUALIZATION_UNAVAILABLE")
        XCTAssertEqual(try preflight.exitCode(), Exit.preflightFailed)
        try failing("unsupported", "not available", Exit.vmLifecycle)
    }

    func testAConsoleThatIsLockedIsAWarning() throws {
        let preflight = try HelperProgram(["preflight"], faults: "console-locked")
        let report = try preflight.message { _ in true }
        guard case .array(let warnings)? = report["warnings"] else { return XCTFail("no warnings") }
        XCTAssertTrue(warnings.contains { $0["code"]?.text == "CONSOLE_LOCKED" })
        XCTAssertEqual(try preflight.exitCode(), 0)
    }

    func testWhereNothingCanBeSavedEveryResetIsAColdBoot() throws { try cold("save-unsupported", "cannot save and restore", resets: true) }
    func testASaveThatIsDeniedFallsBackWithItsReason() throws { try cold("save-denied", "permission denied") }
    func testADiskThatIsFullAtTheSaveFallsBackWithItsReason() throws { try cold("save-no-space", "full") }
    func testARestoreThatIsRefusedFallsBackWithItsReason() throws { try cold("restore-invalid-argument", "invalid argument", resets: true) }
    func testMacOS12BootsFromCold() throws { try cold("", "macOS 14", asMacOS: 12, resets: true) }
    func testMacOS11EndsItsVMsByTheirPowerButton() throws { try cold("", "macOS 14", asMacOS: 11, resets: true) }

    func testAServiceThatFailsOnceAtARestoreIsTriedAgain() throws {
        let first = try HelperProgram()
        XCTAssertEqual(try first.bootResult()["boot_path"]?.text, "cold_boot")
        XCTAssertEqual(try first.exitCode(), 0)
        let second = try HelperProgram(faults: "restore-fails:1", in: first.scratch)
        XCTAssertEqual(try second.bootResult()["boot_path"]?.text, "fast_snapshot")
        passes(try second.request("reset"), .fastSnapshot)
        XCTAssertEqual(try second.exitCode(), 0)
    }

    func testALockedScreenKeepsTheSnapshotForLater() throws {
        let first = try HelperProgram()
        _ = try first.bootResult()
        XCTAssertEqual(try first.exitCode(), 0)
        let locked = try HelperProgram(faults: "restore-permission-denied,save-denied,console-locked", in: first.scratch)
        let result = try locked.bootResult()
        XCTAssertEqual(result["boot_path"]?.text, "cold_boot")
        XCTAssertTrue(result["cold_boot_reason"]?.text?.contains("permission denied") == true)
        XCTAssertEqual(try locked.exitCode(), 0)
        let unlocked = try HelperProgram(in: first.scratch)
        XCTAssertEqual(try unlocked.bootResult()["boot_path"]?.text, "fast_snapshot")
        XCTAssertEqual(try unlocked.exitCode(), 0)
    }

    func testWhereOneMachineAnIdentifierLivesRestoresComeInSequence() throws {
        let helper = try HelperProgram(faults: "one-of-an-identifier")
        _ = try helper.bootResult()
        _ = try helper.echo("used")
        passes(try helper.request("reset"), .fastSnapshot)
        passes(try helper.request("reset"), .fastSnapshot)
        let status = try helper.request("status")
        XCTAssertEqual(status["standby"]?["state"]?.text, "none")
        XCTAssertEqual(try helper.echo("again")["stdout"]?.text, "again\n")
        XCTAssertEqual(try helper.exitCode(), 0)
    }

    func testARestoreThatIsDeniedOnAnUnlockedMacFallsBackToo() throws { try cold("restore-permission-denied", "permission denied") }
    func testAServiceThatFailsAtEveryRestoreFallsBack() throws { try cold("restore-fails", "service failed to restore") }
    func testAPowerButtonThatNobodyReadsIsNotTheOnlyWay() throws { try cold("request-stop-ignored", "macOS 14", asMacOS: 11) }

    /// Side by side: each sits through a completion that never comes.
    func testASaveARestoreOrAResumeThatNeverEndsIsGivenUp() throws {
        let switches = ["save", "restore", "resume"].map { "\($0)-silent,patience:10000" }
        let (saving, restoring, resuming) = (
            try HelperProgram(faults: switches[0]), try HelperProgram(faults: switches[1]), try HelperProgram(faults: switches[2])
        )
        let stuck = try resuming.bootResult()
        XCTAssertEqual(stuck["error"]?["message"]?.text, "The framework did not resume the VM within 10 s.")
        XCTAssertEqual(try resuming.exitCode(), Exit.vmLifecycle)
        for (helper, step) in [(saving, "save"), (restoring, "restore")] {
            let result = try helper.bootResult()
            XCTAssertEqual(result["ok"]?.bytes, JSON(true).bytes, String(decoding: result.bytes, as: UTF8.self))
            XCTAssertEqual(result["boot_path"]?.text, "cold_boot")
            let reason = result["cold_boot_reason"]?.text ?? ""
            XCTAssertTrue(reason.contains("did not \(step) the VM within 10 s"), reason)
            XCTAssertEqual(try helper.echo("x")["stdout"]?.text, "x\n")
            XCTAssertEqual(try helper.exitCode(), 0)
        }
    }

    func testAHostThatSleepsTakesItsGuestAlong() throws {
        let helper = try HelperProgram(faults: "host-sleep")
        _ = try helper.bootResult()
        _ = try helper.message { $0["event"]?.text == "standby_changed" && $0["standby"]?["state"]?.text == "ready" }
        helper.signal(SIGUSR1)
        let discarded = try helper.message { $0["event"]?.text == "standby_changed" }
        XCTAssertEqual(discarded["standby"]?["message"]?.text, "The host slept: the standby was discarded.")
        let asleep = try helper.message { $0["event"]?.text == "vmm_state_changed" }
        XCTAssertEqual(asleep["vmm_api_state"]?.text, "paused")
        sleep(ms: 1_500)
        helper.signal(SIGUSR2)
        let awake = try helper.message { $0["event"]?.text == "vmm_state_changed" }
        XCTAssertEqual(awake["vmm_api_state"]?.text, "running")
        _ = try helper.message { $0["event"]?.text == "standby_changed" && $0["standby"]?["state"]?.text == "ready" }
        // The guest lost those seconds, and has them again.
        let step = try helper.request("status")["guest"]?["clock_step_ms"]
        guard case .number(let ms)? = step else { return XCTFail("no clock step") }
        XCTAssertGreaterThan(ms, 1_000)
        XCTAssertEqual(try helper.echo("awake")["stdout"]?.text, "awake\n")
        passes(try helper.request("reset"), .fastSnapshot)
        XCTAssertEqual(try helper.exitCode(), 0)
    }

    func testAConnectThatNeverAnswersIsGivenUpAndMadeAgain() throws {
        let helper = try HelperProgram(faults: "connect-silent:1")
        XCTAssertEqual(try helper.bootResult()["ok"]?.bytes, JSON(true).bytes)
        XCTAssertEqual(try helper.exitCode(), 0)
    }

    func testAConnectThatIsClosedAtOnceIsMadeAgain() throws {
        let helper = try HelperProgram(faults: "connect-half-open:1")
        XCTAssertEqual(try helper.bootResult()["ok"]?.bytes, JSON(true).bytes)
        XCTAssertEqual(try helper.exitCode(), 0)
    }

    func testAPauseThatNeverEndsFailsTheBoot() throws { try failing("pause-silent", "did not pause", Exit.vmLifecycle) }

    func testAnOldVMThatDoesNotStopIsADivergence() throws {
        // The golden VM's own stop is the first.
        let helper = try HelperProgram(faults: "stop-silent:+1")
        XCTAssertEqual(try helper.bootResult()["ok"]?.bytes, JSON(true).bytes)
        let reset = try helper.request("reset")
        XCTAssertEqual(reset["verification_passed"]?.bytes, JSON(false).bytes)
        XCTAssertEqual(reset["error"]?["code"]?.text, "RESET_VERIFICATION_DIVERGENCE")
        XCTAssertEqual(try helper.echo("x")["error"]?["code"]?.text, "DEGRADED")
        XCTAssertEqual(try helper.exitCode(), Exit.divergence)
    }
}
