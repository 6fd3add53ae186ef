import Foundation
import XCTest

@testable import BSMHelperCore

final class PreflightTests: XCTestCase {
    private func codes(_ change: (inout Changes) -> Void) -> [String] {
        var changes = Changes()
        change(&changes)
        return Preflight(changes.facts).rejections.map(\.code)
    }

    /// A good Mac, and what is different about it.
    private struct Changes {
        var major = 14
        var translated = false
        var appleSilicon = true
        var hypervisor = true
        var inVM = false
        var entitled = true
        var supported = true
        var locked = false

        var facts: PlatformFacts {
            PlatformFacts(
                system: .macOS(major: major, minor: 0, patch: 0), architecture: "arm64", isTranslated: translated, isAppleSilicon: appleSilicon,
                hasHypervisor: hypervisor, isInsideVM: inVM, hasEntitlement: entitled, frameworkSupported: supported, isConsoleLocked: locked,
                osBuild: "X", hostId: "H", frameworkVersion: major)
        }
    }

    func testAGoodMacIsUsable() {
        for major in [11, 12, 13, 14, 15, 26] { XCTAssertEqual(codes { $0.major = major }, [], "macOS \(major)") }
    }

    func testEveryRowOfTheRejectionTable() {
        XCTAssertEqual(codes { $0.major = 10 }, ["MACOS_TOO_OLD"])
        XCTAssertEqual(codes { $0.appleSilicon = false }, ["INTEL_UNSUPPORTED"])
        XCTAssertEqual(codes { $0.translated = true }, ["TRANSLATED_PROCESS"])
        XCTAssertEqual(codes { ($0.translated, $0.appleSilicon) = (true, false) }, ["TRANSLATED_PROCESS"])
        XCTAssertEqual(codes { $0.entitled = false }, ["ENTITLEMENT_MISSING"])
        XCTAssertEqual(codes { $0.supported = false }, ["VIRTUALIZATION_UNAVAILABLE"])
        XCTAssertEqual(codes { $0.hypervisor = false }, ["VIRTUALIZATION_UNAVAILABLE"])
        XCTAssertEqual(codes { $0.inVM = true }, ["VIRTUALIZATION_UNAVAILABLE"])
        XCTAssertEqual(codes { ($0.major, $0.entitled, $0.supported) = (10, false, false) },
            ["MACOS_TOO_OLD", "ENTITLEMENT_MISSING", "VIRTUALIZATION_UNAVAILABLE"])
    }

    func testALockedConsoleIsAWarningOnly() {
        var changes = Changes()
        changes.locked = true
        let preflight = Preflight(changes.facts)
        XCTAssertTrue(preflight.isUsable)
        XCTAssertEqual(preflight.warnings.map(\.code), ["CONSOLE_LOCKED"])
    }

    func testFastSnapshotsNeedMacOS14OnAppleSilicon() {
        for (major, expected) in [(11, false), (12, false), (13, false), (14, true), (15, true), (26, true)] {
            var changes = Changes()
            changes.major = major
            XCTAssertEqual(changes.facts.canSaveState, expected, "macOS \(major)")
            XCTAssertEqual(changes.facts.framework.hasStopAndDiskModes, major >= 12)
            XCTAssertEqual(changes.facts.framework.hasMachineIdentifier, major >= 13)
        }
        var intel = Changes()
        intel.appleSilicon = false
        XCTAssertFalse(intel.facts.canSaveState)
    }

    func testTheReportHasEveryField() {
        let report = Preflight(aMac).json
        for key in ["ok", "macos_version", "arch", "fast_snapshot_supported", "entitlement_present", "backend", "accelerator", "host_os", "rejections", "warnings"] {
            XCTAssertNotNil(report[key], key)
        }
        XCTAssertEqual(report["macos_version"]?.text, "14.5.0")
        XCTAssertEqual(report["accelerator"]?.text, "vz")
    }

    func testEveryFindingSaysWhatItIsAndWhatMendsIt() {
        var changes = Changes()
        (changes.major, changes.entitled, changes.inVM, changes.locked, changes.appleSilicon) = (10, false, true, true, false)
        let preflight = Preflight(changes.facts)
        for finding in preflight.rejections + preflight.warnings {
            XCTAssertTrue(finding.message.contains(" ") && finding.message.hasSuffix("."), finding.message)
            XCTAssertTrue(finding.remedy.contains(" "), finding.remedy)
        }
    }

    func testThisMachineIsKnown() {
        let facts = PlatformFacts.current(frameworkSupported: true)
        XCTAssertTrue(["arm64", "x64"].contains(facts.architecture))
        XCTAssertFalse(facts.hostId.isEmpty)
        XCTAssertGreaterThan(HostFacts.current().availableMemoryMib, 128)
        XCTAssertGreaterThanOrEqual(HostFacts.current().maxCpus, 2)
        XCTAssertGreaterThan(freeMib(at: "/") ?? 0, 0)
        XCTAssertNil(freeMib(at: "/no/such/place"))
    }

    func testAProcessIsKnownByItsStart() {
        XCTAssertNotNil(startOfProcess(getpid()))
        XCTAssertEqual(startOfProcess(getpid()), startOfProcess(getpid()))
        XCTAssertNil(startOfProcess(Int32.max - 1))
    }

    func testHashesAreThoseOfTheStandard() throws {
        XCTAssertEqual(sha256([]), emptySHA256)
        XCTAssertEqual(sha256(Array("abc".utf8)), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        // RFC 4231, test case 2.
        XCTAssertEqual(toHex(hmacSHA256(key: Array("Jefe".utf8), Array("what do ya want for nothing?".utf8))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        let scratch = try Scratch()
        let path = try scratch.file("big", [UInt8](repeating: 7, count: 2_500_000))
        XCTAssertEqual(try sha256(file: path), sha256([UInt8](repeating: 7, count: 2_500_000)))
        XCTAssertThrowsError(try sha256(file: scratch.path("none")))
    }

    func testAPrivateCopyIsTheSameBytesAndNobodyElses() throws {
        let scratch = try Scratch()
        var bytes = [UInt8](repeating: 0, count: 1_000_000)
        bytes[500_000] = 1
        let source = try scratch.file("source", bytes)
        chmod(source, 0o644)
        try clonePrivately(source, to: scratch.path("copy"))
        XCTAssertEqual(try sha256(file: scratch.path("copy")), sha256(bytes))
        XCTAssertEqual(Files.status(at: scratch.path("copy")).map { $0.st_mode & 0o777 }, 0o600)
        XCTAssertThrowsError(try clonePrivately(source, to: scratch.path("copy")))
        refused(.cancelled) { try copySparsely(source, to: scratch.path("half"), isCancelled: { true }) }
        XCTAssertNil(Files.status(at: scratch.path("half")))
    }
}

final class FrameworkErrorTests: XCTestCase {
    private func error(_ code: Int, _ reason: String = "", domain: String = "VZErrorDomain") -> NSError {
        NSError(domain: domain, code: code, userInfo: [NSLocalizedFailureReasonErrorKey: reason])
    }

    func testEveryNumberHasItsSentenceAndKeepsTheRawText() {
        for code in 1...12 {
            let mapped = frameworkError(error(code, "the framework's reason"), during: .start)
            XCTAssertEqual(mapped.layer, .hypervisor)
            XCTAssertTrue(mapped.message.hasSuffix("."))
            XCTAssertNotNil(mapped.nextStep)
            XCTAssertTrue(mapped.details?.contains("the framework's reason") == true)
        }
    }

    func testAMissingEntitlementIsNamed() {
        let mapped = frameworkError(error(2, "The process doesn't have the com.apple.security.virtualization entitlement."), during: .validate)
        XCTAssertTrue(mapped.message.contains("entitlement"))
        XCTAssertTrue(frameworkError(error(2, "Virtualization is not available on this hardware."), during: .start).message.contains("not available"))
        XCTAssertTrue(frameworkError(error(8), during: .save).message.contains("full"))
    }

    func testOtherDomainsAreTakenToo() {
        let mapped = frameworkError(error(54, domain: NSPOSIXErrorDomain), during: .connect)
        XCTAssertEqual(mapped.code, .vmLifecycleError)
        XCTAssertEqual(frameworkError(mapped, during: .start).message, mapped.message)
    }

    func testTheFailureOfARestoreDecidesWhatBecomesOfTheFile() {
        XCTAssertEqual(restoreFailure(error(12, "permission denied"), consoleLocked: true), .temporary)
        XCTAssertEqual(restoreFailure(error(12, "Permission denied"), consoleLocked: false), .permanent)
        XCTAssertEqual(restoreFailure(error(12, "invalid argument"), consoleLocked: true), .permanent)
        XCTAssertEqual(restoreFailure(error(1), consoleLocked: false), .service)
        XCTAssertEqual(restoreFailure(error(54, domain: NSPOSIXErrorDomain), consoleLocked: false), .service)
    }

    func testEveryErrorCodeHasItsExitCode() {
        let expected: [ErrorCode: Int32] = [
            .bootConfigInvalid: 65, .imageMismatch: 65, .guestUnreachable: 67, .resetVerificationDivergence: 68, .degraded: 68, .timeout: 69,
            .sandboxToolTimeout: 69, .resetVerificationTimeout: 69, .internalBug: 70,
        ]
        for code in ErrorCode.allCases { XCTAssertEqual(Exit.code(for: code), expected[code] ?? 66, code.rawValue) }
    }
}
