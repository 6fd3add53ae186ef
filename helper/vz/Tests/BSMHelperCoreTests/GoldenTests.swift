import Foundation
import XCTest

@testable import BSMHelperCore

final class GoldenTests: XCTestCase {
    private func parts(_ change: [(String, JSON)] = []) throws -> GoldenParts {
        let good = JSON.record([
            "kernel": JSON(someDigest), "rootfs": JSON(someDigest), "cmdline": JSON("quiet"), "cpus": JSON(1), "memory_mib": JSON(256),
            "backend": JSON("vz"), "accelerator": JSON("vz"), "devices": JSON("d"), "os_build": JSON("23F79"), "host_id": JSON("H"),
            "uid": JSON(501), "helper_version": JSON("0.1.0"),
        ])
        let kept = (good.members ?? []).filter { member in !change.contains { $0.0 == member.key } }
        var fields = try Fields(.object(kept + change.map { JSON.Member(key: $0.0, value: $0.1) }))
        return try GoldenParts(&fields)
    }

    private final class Bench {
        let scratch: Scratch
        let store: GoldenStore
        let run: RunDirectory
        let golden: GoldenSnapshot

        init(_ parts: GoldenParts, baselines: Baselines? = Baselines(openFdCount: 19, overlayBytes: 0)) throws {
            scratch = try Scratch()
            store = try GoldenStore(stateDirectory: scratch.path, authenticator: Authenticator(key: [1, 2, 3]))
            run = try RunDirectory(stateDirectory: scratch.path)
            let bytes = [UInt8](repeating: 9, count: 10_000)
            let stateFile = try scratch.file("state-file", bytes)
            let manifest = GoldenManifest(
                parts: parts, machineIdentifier: "aWQ=", savedState: sha256(bytes), nonce: String(repeating: "0f", count: 32), imageDigest: nil,
                createdAt: timestamp())
            golden = Bench.snapshot(manifest, stateFile, baselines)
        }

        static func snapshot(_ manifest: GoldenManifest, _ file: String, _ baselines: Baselines?) -> GoldenSnapshot {
            let plan = MachinePlan(
                kernel: "", initrd: nil, disk: "", cmdline: "", cpus: 1, memoryMib: 256, machineIdentifier: nil, features: aMac.framework)
            return GoldenSnapshot(
                manifest, stateFile: file, plan: plan, consolePath: "", baselines: baselines, isConsoleLocked: { false }, renew: { try $0.verify() })
        }

        func load(_ path: String, _ wanted: GoldenParts) throws -> GoldenSnapshot {
            try store.load(path, wanted: wanted, into: run, snapshot: Bench.snapshot)
        }
    }

    func testWhatIsKeptIsLoadedWhole() throws {
        let bench = try Bench(try parts())
        try bench.store.keep(bench.golden)
        try bench.store.keep(bench.golden)
        let names = try bench.store.list()
        XCTAssertEqual(names, [String(bench.golden.hash.dropFirst("sha256:".count))])
        let loaded = try bench.load(bench.store.path(names[0]), try parts())
        XCTAssertEqual(loaded.hash, bench.golden.hash)
        XCTAssertEqual(loaded.baselines.current?.openFdCount, 19)
        XCTAssertNotEqual(loaded.stateFile, bench.golden.stateFile, "a private clone")
        XCTAssertEqual(Files.status(at: loaded.stateFile).map { $0.st_mode & 0o777 }, 0o600)
        loaded.close()
        XCTAssertNil(Files.status(at: loaded.stateFile))
    }

    func testAnyByteOfTheManifestOrStateChangedIsCorrupt() throws {
        let bench = try Bench(try parts())
        let path = bench.scratch.path("saved")
        XCTAssertGreaterThan(try bench.store.write(bench.golden, to: path), 0)
        for name in ["manifest.json", "state"] {
            let file = Files.join(path, name)
            let good = try Files.read(file, limit: 100_000)
            for index in stride(from: 0, to: good.count - 1, by: max(1, good.count / 37)) {
                var bad = good
                bad[index] ^= 1
                try Files.replace(file, bad)
                refused(.snapshotCorrupt) { _ = try bench.load(path, try parts()) }
            }
            try Files.replace(file, good)
        }
        XCTAssertNoThrow(try bench.load(path, try parts()))
        try Files.replace(Files.join(path, "baselines.json"), Array("{}".utf8))
        XCTAssertNil(try bench.load(path, try parts()).baselines.current, "baselines that cannot be believed are measured anew")
        unlink(Files.join(path, "state"))
        refused(.snapshotCorrupt) { _ = try bench.load(path, try parts()) }
        refused(.snapshotCorrupt) { _ = try bench.load(bench.scratch.path("none"), try parts()) }
    }

    func testAPrivateFileThatWasChangedIsClonedAgainFromTheKeptOne() throws {
        let bench = try Bench(try parts())
        let changed = [UInt8](repeating: 8, count: 10_000)
        try Files.replace(bench.golden.stateFile, changed)
        refused(.snapshotCorrupt) { try bench.store.renew(bench.golden) }
        try Files.replace(bench.golden.stateFile, [UInt8](repeating: 9, count: 10_000))
        try bench.store.keep(bench.golden)
        try Files.replace(bench.golden.stateFile, changed)
        XCTAssertNoThrow(try bench.store.renew(bench.golden))
        XCTAssertNoThrow(try bench.golden.verify())
        unlink(bench.golden.stateFile)
        XCTAssertNoThrow(try bench.store.renew(bench.golden))
        let kept = Files.join(bench.store.path(try bench.store.list()[0]), "state")
        try Files.replace(kept, changed)
        refused(.snapshotCorrupt) { try bench.store.renew(bench.golden) }
        XCTAssertEqual(try Files.names(in: bench.scratch.path).filter { $0.hasPrefix("state-file-") }, [])
    }

    func testASnapshotOfAnotherKeyIsCorrupt() throws {
        let bench = try Bench(try parts())
        let path = bench.scratch.path("saved")
        _ = try bench.store.write(bench.golden, to: path)
        let other = try GoldenStore(stateDirectory: bench.scratch.path("other"), authenticator: Authenticator(key: [4]))
        refused(.snapshotCorrupt) { _ = try other.load(path, wanted: try parts(), into: bench.run, snapshot: Bench.snapshot) }
    }

    func testEveryOtherPartMakesItIncompatible() throws {
        let bench = try Bench(try parts())
        let path = bench.scratch.path("saved")
        _ = try bench.store.write(bench.golden, to: path)
        for (key, value) in [
            ("kernel", JSON(emptySHA256)), ("initrd", JSON(someDigest)), ("rootfs", JSON(emptySHA256)), ("cmdline", JSON("loud")), ("cpus", JSON(2)),
            ("memory_mib", JSON(512)), ("accelerator", JSON("tcg")), ("devices", JSON("e")), ("os_build", JSON("24A1")), ("host_id", JSON("I")),
            ("uid", JSON(502)), ("helper_version", JSON("0.2.0")),
        ] {
            let error = refused(.snapshotIncompatible) { _ = try bench.load(path, try parts([(key, value)])) }
            XCTAssertTrue(error?.message.contains(key) == true, "\(key) is named")
        }
    }

    func testASaveIsWholeOrNotAtAll() throws {
        let bench = try Bench(try parts())
        let path = bench.scratch.path("saved")
        refused(.vmLifecycleError) { _ = try bench.store.write(bench.golden, to: "/no/such/place/saved") }
        try Files.makeDirectory(path)
        refused(.vmLifecycleError) { _ = try bench.store.write(bench.golden, to: path) }
        XCTAssertEqual(try Files.names(in: path), [])
        bench.store.cancelWriting()
        refused(.cancelled) { _ = try bench.store.write(bench.golden, to: bench.scratch.path("late")) }
        XCTAssertEqual(try Files.names(in: bench.scratch.path).filter { $0.hasPrefix(".making-") }, [])
    }

    func testWhatIsHalfMadeIsSweptAndWhatIsSetAsideIsKeptTwice() throws {
        let bench = try Bench(try parts())
        try Files.makeDirectory(bench.store.path(".making-x"))
        XCTAssertEqual(try bench.store.sweep(), [".making-x"])
        let name = String(bench.golden.hash.dropFirst("sha256:".count))
        for _ in 0..<4 {
            try bench.store.keep(bench.golden)
            try bench.store.setAside(name, incompatible: true)
            sleep(ms: 3)
        }
        XCTAssertEqual(try bench.store.list(), [])
        XCTAssertEqual(try Files.names(in: bench.store.path("")).filter { $0.contains(".incompatible-") }.count, 2)
    }

    func testTheHashNamesEveryPart() throws {
        let one = try Bench(try parts()).golden.manifest
        let again = try GoldenManifest(try JSON.parse(one.json.bytes))
        XCTAssertEqual(again.hash, one.hash)
        XCTAssertThrowsError(try GoldenManifest(.record(["schema": JSON("bsm-golden/1")])))
    }

    func testTheKeyIsMadeOnceAndPrivately() throws {
        let scratch = try Scratch()
        let path = scratch.path("config/manifest.key")
        let first = try Authenticator(keyPath: path)
        XCTAssertEqual(Files.status(at: path).map { $0.st_mode & 0o777 }, 0o600)
        let signed = first.sign(JSON("x"))
        XCTAssertEqual(try Authenticator(keyPath: path).open(signed).text, "x")
        XCTAssertThrowsError(try Authenticator(key: [1]).open(signed))
        try Files.replace(path, Array("short".utf8))
        refused(.vmLifecycleError) { _ = try Authenticator(keyPath: path) }
        refused(.vmLifecycleError) { _ = try Authenticator(keyPath: Files.join(try scratch.file("plain"), "key")) }
    }
}

final class EpochTests: XCTestCase {
    private let key = Authenticator(key: [7])

    private func open(_ scratch: Scratch, _ key: Authenticator? = nil) throws -> Epochs {
        try Epochs(stateDirectory: scratch.path("state"), floors: scratch.path("floors"), authenticator: key ?? self.key)
    }

    private func mode(_ path: String) -> mode_t? { Files.status(at: path).map { $0.st_mode & 0o777 } }

    func testEpochsOnlyRiseAlsoOverARestart() throws {
        let scratch = try Scratch()
        let epochs = try open(scratch)
        let (first, second) = (try epochs.next(), try epochs.next())
        XCTAssertEqual([first.epoch, second.epoch], [1, 2])
        XCTAssertNotEqual(first.token, second.token)
        XCTAssertEqual(first.token.count, 64)
        XCTAssertEqual(try open(scratch).next().epoch, 3)
        XCTAssertEqual(mode(scratch.path("state/epoch")), 0o600)
        XCTAssertEqual(mode(scratch.path("state")), 0o700)
    }

    func testAFileThatIsGoneOrPutBackOrDamagedLetsNoEpochRepeat() throws {
        let scratch = try Scratch()
        let file = scratch.path("state/epoch")
        _ = try open(scratch).next()
        let old = try Files.read(file, limit: 4096)
        _ = try open(scratch).next()
        try Files.replace(file, old)
        XCTAssertEqual(try open(scratch).next().epoch, 3)
        unlink(file)
        XCTAssertEqual(try open(scratch).next().epoch, 4)
        try Files.replace(file, Array("x".utf8))
        XCTAssertEqual(try open(scratch).next().epoch, 5)
        try Files.replace(file, key.sign(.record(["schema": JSON("bsm-epoch/1"), "epoch": JSON(900)])))
        XCTAssertEqual(try open(scratch).next().epoch, 901, "a higher one of our own key counts")
    }

    func testWhereNothingIsKnownAnyMoreEpochsGoOnBeyondAnyCounter() throws {
        for text in ["", "x", "7", "{\"value\":1,\"hmac\":\"\"}"] {
            let scratch = try Scratch()
            try Files.makeDirectory(scratch.path("state"))
            _ = try scratch.file("state/epoch", Array(text.utf8))
            let before = Int(Date().timeIntervalSince1970)
            XCTAssertGreaterThan(try open(scratch).next().epoch, before, text)
        }
        let scratch = try Scratch()
        _ = try open(scratch).next()
        XCTAssertGreaterThan(try open(scratch, Authenticator(key: [8])).next().epoch, 1_700_000_000, "another key")
    }

    func testFilesAndDirectoriesThatAreNotOursAloneAreRefused() throws {
        let scratch = try Scratch()
        _ = try open(scratch).next()
        let file = scratch.path("state/epoch")
        chmod(file, 0o644)
        refused(.vmLifecycleError) { _ = try open(scratch) }
        unlink(file)
        symlink(try scratch.file("elsewhere"), file)
        refused(.vmLifecycleError) { _ = try open(scratch) }
        unlink(file)
        mkdir(file, 0o700)
        refused(.vmLifecycleError) { _ = try open(scratch) }
        try Files.makeDirectory(scratch.path("real"))
        symlink(scratch.path("real"), scratch.path("link"))
        refused(.bootConfigInvalid) {
            _ = try Epochs(stateDirectory: scratch.path("link"), floors: scratch.path("floors"), authenticator: key)
        }
    }

    func testAnEpochThatCannotBeWrittenIsNotUsed() throws {
        let scratch = try Scratch()
        let epochs = try open(scratch)
        try Files.makeDirectory(scratch.path("state/epoch"))
        refused(.vmLifecycleError) { _ = try epochs.next() }
        rmdir(scratch.path("state/epoch"))
        XCTAssertEqual(try epochs.next().epoch, 1)
    }

    func testASocketIsTrustedOnlyInADirectoryOfOursAlone() throws {
        let scratch = try Scratch()
        try Files.makeDirectory(scratch.path("run"))
        let path = scratch.path("run/helper.sock")
        XCTAssertNil(PrivateFiles.distrustOfSocket(path))
        chmod(scratch.path("run"), 0o755)
        XCTAssertEqual(PrivateFiles.distrustOfSocket(path), "\(scratch.path("run")) is open to others.")
        refused(.bootConfigInvalid) { _ = try OneShotSocket(path) { .answer(.error($0.id, noVM)) } }
        chmod(scratch.path("run"), 0o700)
        _ = try scratch.file("run/helper.sock")
        XCTAssertEqual(PrivateFiles.distrustOfSocket(path), "\(path) exists and is no socket.")
    }

    func testOneHelperAStateDirectory() throws {
        let scratch = try Scratch()
        let owner = try StateDirectoryOwner(scratch.path("state"))
        refused(.vmLifecycleError) { _ = try StateDirectoryOwner(scratch.path("state")) }
        owner.release()
        XCTAssertNoThrow(try StateDirectoryOwner(scratch.path("state")))
    }

    func testADeadOwnersClaimIsTaken() throws {
        let scratch = try Scratch()
        for text in ["{\"pid\":\(getpid()),\"start_time\":\"never\"}", "{\"pid\":2147483646,\"start_time\":\"1\"}", "garbage"] {
            try Files.replace(scratch.path("helper.json"), Array(text.utf8))
            XCTAssertNoThrow(try StateDirectoryOwner(scratch.path), text)
        }
    }

    func testAProbesVerdictIsKeptForThisHostAlone() throws {
        let scratch = try Scratch()
        try Files.makeDirectory(scratch.path("golden"))
        let key = Authenticator(key: [1])
        let probe = StandbyProbe(stateDirectory: scratch.path, authenticator: key, facts: aMac)
        XCTAssertEqual(probe.current, .unknown)
        probe.found(.sequential)
        XCTAssertEqual(StandbyProbe(stateDirectory: scratch.path, authenticator: key, facts: aMac).current, .sequential)
        XCTAssertEqual(StandbyProbe(stateDirectory: scratch.path, authenticator: Authenticator(key: [2]), facts: aMac).current, .unknown)
        let other = PlatformFacts(
            system: aMac.system, architecture: "arm64", isTranslated: false, isAppleSilicon: true, hasHypervisor: true, isInsideVM: false,
            hasEntitlement: true, frameworkSupported: true, isConsoleLocked: false, osBuild: "24A1", hostId: "HOST", frameworkVersion: 15)
        XCTAssertEqual(StandbyProbe(stateDirectory: scratch.path, authenticator: key, facts: other).current, .unknown)
    }
}

final class VerificationTests: XCTestCase {
    private let expected = Expected(fsHash: someDigest, openFdCount: 19, vmmApiState: .running)

    private func judge(
        _ disk: Reading<DiskReading> = .said(DiskReading(hash: someDigest, isStillNamed: true)), _ count: Reading<Int> = .said(19),
        _ state: Reading<VmmApiState> = .said(.running), _ expected: Expected? = nil
    ) -> Judgement {
        Judgement(Readings(fsHash: disk, openFdCount: count, vmmApiState: state), expected ?? self.expected)
    }

    private struct Silence: Error {}

    func testThreeThatAgreePass() {
        let judged = judge()
        XCTAssertTrue(judged.disagreeing.isEmpty && judged.silent.isEmpty)
        XCTAssertEqual(judged.details.fsHashMatch, true)
        XCTAssertFalse(judged.details.isHalted)
    }

    func testEachAloneHalts() {
        XCTAssertEqual(judge(.said(DiskReading(hash: emptySHA256, isStillNamed: true))).disagreeing, [.fsHash])
        XCTAssertEqual(judge(.said(DiskReading(hash: someDigest, isStillNamed: false))).disagreeing, [.fsHash])
        XCTAssertEqual(judge(.said(DiskReading(hash: someDigest, isStillNamed: true)), .said(20)).disagreeing, [.openFdCount])
        for state in [VmmApiState.paused, .stopped, .error] {
            let judged = judge(.said(DiskReading(hash: someDigest, isStillNamed: true)), .said(19), .said(state))
            XCTAssertEqual(judged.disagreeing, [.vmmApiState])
            XCTAssertTrue(judged.details.isHalted)
        }
    }

    func testSilenceIsNoAgreementAndNoLie() {
        let judged = judge(.silent(Silence()), .silent(Silence()), .silent(Silence()))
        XCTAssertEqual(judged.silent, [.fsHash, .openFdCount, .vmmApiState])
        XCTAssertFalse(judged.details.isHalted)
        XCTAssertNil(judged.details.fsHash)
        XCTAssertNil(judged.details.fsHashMatch)
    }

    func testABaselineThatIsMissingOrTheHashOfNothingAgreesWithNothing() {
        let none = Expected(fsHash: nil, openFdCount: nil, vmmApiState: .running)
        XCTAssertEqual(judge(.said(DiskReading(hash: someDigest, isStillNamed: true)), .said(19), .said(.running), none).disagreeing, [.fsHash, .openFdCount])
        let empty = Expected(fsHash: emptySHA256, openFdCount: 19, vmmApiState: .running)
        XCTAssertEqual(judge(.said(DiskReading(hash: emptySHA256, isStillNamed: true)), .said(19), .said(.running), empty).disagreeing, [.fsHash])
    }

    func testASourceIsSilentAfterItsTime() {
        let never = Future<Int>()
        guard case .silent = listen(never, ms: 20) else { return XCTFail("heard something") }
        never.succeed(1)
        XCTAssertEqual(listen(never, ms: 20).value, 1)
    }

    func testTheEightFieldsAreAlwaysThere() {
        let details = VerificationDetails(expected: expected).json
        XCTAssertEqual(details.members?.map(\.key), [
            "fs_hash", "fs_hash_baseline", "fs_hash_match", "open_fd_count", "open_fd_count_baseline", "vmm_api_state",
            "expected_vmm_api_state", "divergence_action",
        ])
    }
}

final class StopLadderTests: XCTestCase {
    private func climb(goneAt rung: String?, isAwake: Bool = true) -> (String?, [String]) {
        var climbed: [String] = []
        let ladder = StopLadder(
            rungs: ["guest", "requestStop", "stop"].map { name in StopLadder.Rung(name: name, ms: 1) { climbed.append(name) } },
            isOver: { _ in climbed.last == rung })
        return (ladder.run(isAwake: isAwake), climbed)
    }

    func testClimbsOnlyAsFarAsItMust() {
        XCTAssertEqual(climb(goneAt: "guest").1, ["guest"])
        XCTAssertEqual(climb(goneAt: "requestStop").1, ["guest", "requestStop"])
        XCTAssertEqual(climb(goneAt: "stop").0, "stop")
        XCTAssertNil(climb(goneAt: nil).0)
    }

    func testAGuestThatHearsNothingIsNotAsked() {
        XCTAssertEqual(climb(goneAt: "stop", isAwake: false).1, ["stop"])
    }
}
