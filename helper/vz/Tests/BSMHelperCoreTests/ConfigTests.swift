import Foundation
import XCTest

@testable import BSMHelperCore

final class BootConfigTests: XCTestCase {
    private let host = HostFacts(maxCpus: 4, availableMemoryMib: 2048)

    private func options(_ scratch: Scratch, kernel: [UInt8]? = nil, rootfs: [UInt8]? = nil) throws -> BootOptions {
        var image = [UInt8](repeating: 0, count: 4096)
        image.replaceSubrange(56..<60, with: Array("ARM\u{64}".utf8))
        var options = BootOptions()
        options.kernel = try scratch.file("Image", kernel ?? image)
        options.rootfs = try scratch.file("rootfs.img", rootfs ?? [UInt8](repeating: 1, count: 1024))
        return options
    }

    private func wrong(_ words: String, file: StaticString = #filePath, line: UInt = #line, _ change: (inout BootOptions, Scratch) throws -> Void) throws {
        let scratch = try Scratch()
        var options = try options(scratch)
        try change(&options, scratch)
        let error = refused(.bootConfigInvalid, file: file, line: line) { _ = try BootConfig(options, host: host) }
        let said = "\(error?.message ?? "") \(error?.nextStep ?? "")"
        XCTAssertTrue(said.contains(words), said, file: file, line: line)
        XCTAssertNotNil(error?.nextStep, file: file, line: line)
    }

    func testTakesAGoodConfiguration() throws {
        let scratch = try Scratch()
        let config = try BootConfig(try options(scratch), host: host)
        XCTAssertEqual(config.cpus, 2)
        XCTAssertEqual(config.memoryMib, 1024)
        XCTAssertNil(config.image)
    }

    func testRefusesFilesThatAreNotThereOrNoFiles() throws {
        try wrong("No kernel") { options, _ in options.kernel = nil }
        try wrong("No rootfs") { options, _ in options.rootfs = nil }
        try wrong("does not exist") { options, scratch in options.kernel = scratch.path("none") }
        try wrong("not a regular file") { options, scratch in options.kernel = scratch.path }
        try wrong("absolute") { options, _ in options.rootfs = "./rootfs.img" }
        try wrong("not a regular file") { options, scratch in
            options.kernel = scratch.path("fifo")
            mkfifo(scratch.path("fifo"), 0o600)
        }
        try wrong("initrd") { options, scratch in options.initrd = scratch.path("none") }
        try wrong("empty") { options, scratch in options.initrd = try scratch.file("initrd") }
        try wrong("saved state") { options, scratch in options.savedState = scratch.path("none") }
        try wrong("absolute") { options, _ in options.savedState = "here" }
    }

    func testNamesEachWrongKernel() throws {
        func kernel(_ head: [UInt8], at: Int = 0) -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: 4096)
            bytes.replaceSubrange(at..<(at + head.count), with: head)
            return bytes
        }
        for (bytes, words) in [
            ([], "empty"), (kernel([0x1f, 0x8b]), "gzip"), (kernel(Array("HdrS".utf8), at: 0x202), "bzImage"),
            (kernel(Array("MZ\0\0zimg".utf8)), "zboot"), (kernel([0x7f] + Array("ELF".utf8)), "vmlinux"), (kernel([1]), "not an ARM64 Image"),
            ([UInt8](repeating: 1, count: 59), "not an ARM64 Image"),
        ] {
            try wrong(words) { options, scratch in options.kernel = try scratch.file("other", bytes) }
        }
    }

    func testHoldsNumbersToTheHostsLimits() throws {
        for cpus in ["0", "5"] { try wrong("CPU") { options, _ in options.cpus = cpus } }
        for cpus in ["-1", "1.5", "two", "", "9999999999"] { try wrong("whole number") { options, _ in options.cpus = cpus } }
        try wrong("128") { options, _ in options.memoryMib = "127" }
        try wrong("not enough memory") { options, _ in options.memoryMib = "2049" }
    }

    func testARootfsIsAWholeNumberOfSectors() throws {
        try wrong("512") { options, scratch in options.rootfs = try scratch.file("odd", [UInt8](repeating: 1, count: 513)) }
        try wrong("empty") { options, scratch in options.rootfs = try scratch.file("nothing") }
    }

    func testADamagedManifestIsSaid() throws {
        try wrong("manifest") { _, scratch in _ = try scratch.file("manifest.json", Array("{".utf8)) }
        try wrong("manifest") { _, scratch in _ = try scratch.file("manifest.json", Array("{\"schema\":\"bsm-image/2\"}".utf8)) }
    }

    func testAFileShorterThanItsManifestSaysIsTruncated() throws {
        try wrong("truncated") { _, scratch in _ = try scratch.file("manifest.json", try imageManifest(rootfsSize: 2048).bytes) }
    }
}

func imageManifest(rootfsSize: Int = 1024, rootfsDigest: String = someDigest) throws -> JSON {
    func file(_ name: String, _ size: Int, _ digest: String) -> JSON {
        .record(["file": JSON(name), "size": JSON(size), "digest": JSON(digest)])
    }
    return .record([
        "schema": JSON("bsm-image/1"), "image_version": JSON("0.1.0"), "recipe": JSON("base"), "arch": JSON("arm64"),
        "image_digest": JSON(someDigest), "kernel": file("Image", 4096, someDigest), "initrd": file("initrd.img", 1, someDigest),
        "rootfs": file("rootfs.img", rootfsSize, rootfsDigest), "cmdline": JSON("quiet"),
        "tools": .array([.record(["name": JSON("echo"), "description": JSON("says it"), "params_schema": .object([])])]),
        "inputs": .array([]),
    ])
}

final class ImageTests: XCTestCase {
    func testReadsAManifest() throws {
        let manifest = try ImageManifest(try imageManifest())
        XCTAssertEqual(manifest.rootfs.size, 1024)
        XCTAssertEqual(manifest.tools.count, 1)
    }

    func testRefusesAManifestOfAnotherForm() throws {
        let good = try imageManifest()
        for (key, value) in [("schema", JSON("x")), ("arch", JSON("x64")), ("image_digest", JSON("x")), ("tools", JSON("x")), ("colour", JSON(1))] {
            let others = (good.members ?? []).filter { $0.key != key }
            XCTAssertThrowsError(try ImageManifest(.object(others + [JSON.Member(key: key, value: value)])), key)
        }
    }

    func testTheGuestsHelloMustBeTheManifests() throws {
        let manifest = try ImageManifest(try imageManifest())
        func hello(_ changes: [(String, JSON)] = []) throws -> Hello {
            let honest = JSON.record([
                "type": JSON("Hello"), "protocol": JSON(1), "image_version": JSON("0.1.0"), "image_digest": JSON(someDigest),
                "boot_id": JSON("b"), "ram_nonce": JSON(""), "frozen": JSON(true), "tools": .array(manifest.tools),
            ])
            let kept = (honest.members ?? []).filter { member in !changes.contains { $0.0 == member.key } }
            guard case .hello(let hello) = try GuestMessage(.object(kept + changes.map { JSON.Member(key: $0.0, value: $0.1) })) else {
                throw FormError(description: "no hello")
            }
            return hello
        }
        XCTAssertNoThrow(try checkHello(try hello(), manifest))
        for change in [("image_digest", JSON(emptySHA256)), ("image_version", JSON("9")), ("tools", .array([]))] as [(String, JSON)] {
            refused(.imageMismatch) { try checkHello(try hello([change]), manifest) }
        }
    }

    func testADiskIsItsBytesAndItsName() throws {
        let scratch = try Scratch()
        let path = try scratch.file("rootfs", [1, 2, 3])
        let disk = try Disk(path)
        XCTAssertEqual(try disk.hash(), sha256([1, 2, 3]))
        XCTAssertTrue(disk.isStillNamed)
        try Files.move(path, to: scratch.path("moved"))
        XCTAssertFalse(disk.isStillNamed)
        _ = try scratch.file("rootfs", [1, 2, 3])
        XCTAssertFalse(disk.isStillNamed, "the same bytes under another inode")
        XCTAssertEqual(try disk.hash(), sha256([1, 2, 3]))
    }

    func testWhatBootsIsTheCloneAndNotTheOriginal() throws {
        let scratch = try Scratch()
        var options = BootOptions()
        var kernel = [UInt8](repeating: 0, count: 4096)
        kernel.replaceSubrange(56..<60, with: Array("ARM\u{64}".utf8))
        options.kernel = try scratch.file("Image", kernel)
        let rootfs = [UInt8](repeating: 1, count: 1024)
        options.rootfs = try scratch.file("rootfs.img", rootfs)
        let config = try BootConfig(options, host: HostFacts(maxCpus: 2, availableMemoryMib: 4096))
        let run = try RunDirectory(stateDirectory: scratch.path)
        let image = try PrivateImage(config, in: run)
        unlink(try XCTUnwrap(options.rootfs))
        _ = try scratch.file("rootfs.img", [UInt8](repeating: 2, count: 1024))
        XCTAssertEqual(try image.measure().rootfs, sha256(rootfs))
        XCTAssertEqual(Files.status(at: run.path).map { $0.st_mode & 0o777 }, 0o700)
        XCTAssertEqual(try RunDirectory.sweep(stateDirectory: scratch.path).count, 1)
        XCTAssertNil(Files.status(at: run.path))
    }
}

final class CommandLineTests: XCTestCase {
    private let paths = Paths(environment: ["TMPDIR": "/t", "HOME": "/h"], home: "/h", uid: 501)

    func testReadsEveryCommand() throws {
        guard case .preflight = try Command(["preflight"], paths) else { return XCTFail("preflight") }
        guard case .help = try Command(["--help"], paths), case .help = try Command(["boot", "--help"], paths) else { return XCTFail("help") }
        guard case .boot(let boot) = try Command(["boot", "--kernel", "/k", "--rootfs=/r", "--socket", "none"], paths) else { return XCTFail("boot") }
        XCTAssertEqual(boot.options.kernel, "/k")
        XCTAssertEqual(boot.options.rootfs, "/r")
        XCTAssertEqual(boot.options.cmdline, "console=hvc0 root=/dev/vda rw")
        XCTAssertNil(boot.socket)
        XCTAssertEqual(boot.stateDirectory, "/h/.local/state/brainstorm-sandbox")
        guard case .exec(let exec) = try Command(["exec", "--tool", "echo"], paths) else { return XCTFail("exec") }
        XCTAssertEqual(exec.socket, "/t/bsm-501/bsm-vz-helper.sock")
        XCTAssertEqual(exec.deadlineMs, "30000")
        guard case .saveState(let out, _) = try Command(["save-state", "--out", "/o"], paths) else { return XCTFail("save") }
        XCTAssertEqual(out, "/o")
        guard case .restoreState(let from, _) = try Command(["restore-state", "--from", "/f"], paths) else { return XCTFail("restore") }
        XCTAssertEqual(from, "/f")
    }

    func testRefusesWhatItDoesNotKnowByName() {
        for arguments in [[], ["frobnicate"], ["preflight", "--frobnicate"], ["boot", "--frobnicate", "1"], ["boot", "stray"], ["boot", "--kernel"]] {
            XCTAssertThrowsError(try Command(arguments, paths)) { error in
                XCTAssertTrue(arguments.isEmpty || (error as? UsageError)?.message.contains(arguments.count > 1 ? arguments[1] : arguments[0]) == true)
            }
        }
    }

    func testPathsFollowTheEnvironmentAndAnEmptyVariableIsNone() {
        let given = Paths(
            environment: ["BSM_STATE_DIR": "/s", "BSM_CONFIG_DIR": "/c", "XDG_RUNTIME_DIR": "/r"], home: "/h", uid: 1)
        XCTAssertEqual(given.stateDirectory, "/s")
        XCTAssertEqual(given.manifestKey, "/c/manifest.key")
        XCTAssertEqual(given.socket, "/r/bsm-vz-helper.sock")
        let empty = Paths(environment: ["XDG_RUNTIME_DIR": "", "TMPDIR": "", "BSM_STATE_DIR": ""], home: "/h", uid: 1)
        XCTAssertEqual(empty.socket, "/tmp/bsm-1/bsm-vz-helper.sock")
        XCTAssertEqual(empty.stateDirectory, "/h/.local/state/brainstorm-sandbox")
    }
}
