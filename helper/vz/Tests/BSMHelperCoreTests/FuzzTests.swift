import Foundation
import XCTest

@testable import BSMHelperCore

/// Every parser of the package on changed inputs: it refuses them as it should, or what it read is consistent; a trap
/// would end the run. `BSM_FUZZ_INPUTS` for each (500), from `BSM_FUZZ_SEED` (1) on: the same seed gives the same ones.
final class FuzzTests: XCTestCase {
    func testJSONIsRefusedOrReadTheSameAgain() {
        fuzz(messages) { bytes in
            guard let value = try? JSON.parse(bytes) else { return false }
            let canonical = value.canonicalBytes
            XCTAssertEqual(try JSON.parse(canonical).canonicalBytes, canonical)
            XCTAssertEqual(try JSON.parse(value.bytes).canonicalBytes, canonical)
            return true
        }
    }

    func testFramesAreTheSameWhereverTheirStreamIsCut() {
        fuzz([frames(messages), frames([messages[0]]), [0, 0, 0, 1, 0x31]]) { stream in
            func joined(_ pieces: [ArraySlice<UInt8>]) -> (bodies: [[UInt8]], error: ErrorCode?) {
                var parser = FrameParser(maxBytes: 4_096)
                var bodies: [[UInt8]] = []
                do {
                    for piece in pieces { bodies += try parser.push(Array(piece)) }
                    return (bodies, nil)
                } catch { return (bodies, (error as? BsmError)?.code) }
            }
            let byByte = joined(stream.indices.map { stream[$0...$0] })
            let whole = joined([stream[...]])
            XCTAssertEqual(whole.error, byByte.error)
            if whole.error == nil { XCTAssertEqual(whole.bodies, byByte.bodies) }
            return whole.error == nil
        }
    }

    func testLinesAreTheSameWhereverTheirStreamIsCut() {
        fuzz([messages.joined(separator: [10]).map { $0 }, Array("a\r\n\n \nlong line that is thrown away\nb\n".utf8)]) { stream in
            func split(_ pieces: [ArraySlice<UInt8>]) -> [[UInt8]?] {
                var splitter = LineSplitter(maxBytes: 16)
                return pieces.flatMap { splitter.push(Array($0)) }.map { line in
                    if case .line(let bytes) = line { return bytes }
                    return nil
                }
            }
            let lines = split([stream[...]])
            XCTAssertEqual(lines, split(stream.indices.map { stream[$0...$0] }))
            return !lines.contains(nil)
        }
    }

    func testAGuestsMessageIsRefusedOrTaken() {
        fuzz(messages) { bytes in refusedAs([.frameMalformed]) { _ = try parseFrame(bytes) } }
    }

    func testARequestIsRefusedOrTaken() {
        fuzz(requests) { bytes in
            switch ParsedLine(.line(bytes)) {
            case .request(let request):
                XCTAssertTrue(isUUID(request.id))
                return true
            case .refused(let error, let id):
                XCTAssertEqual(error.code, .badRequest)
                XCTAssertTrue(id.map(isUUID) ?? true)
                return false
            }
        }
    }

    func testChangedEvidenceSaysNothingElse() throws {
        var dispatch = try FakeDispatch()
        for (stream, text) in [(1, "one\n"), (2, "two\n"), (1, "three\n")] as [(UInt8, String)] { dispatch.output(stream, text) }
        dispatch.end()
        let said = dispatch.chunks.map { $0.json.bytes } + [dispatch.resultJSON().bytes]
        let codes: [ErrorCode] = [
            .frameMalformed, .evidenceGap, .evidenceDuplicate, .evidenceOutOfOrder, .evidenceMismatch, .outputLimit,
        ]
        fuzz { changes in
            var sent = said
            let at = changes.below(sent.count)
            switch changes.below(5) {
            case 0: sent.remove(at: at)
            case 1: sent.insert(sent[at], at: changes.below(sent.count))
            case 2: sent.swapAt(at, changes.below(sent.count))
            default: sent[at] = changes.changed(sent[at])
            }
            return refusedAs(codes) {
                var verifier = EvidenceVerifier(dispatch.request, epoch: 7)
                for bytes in sent {
                    switch try parseFrame(bytes) {
                    case .evidenceChunk(let chunk): _ = try verifier.push(chunk)
                    case .toolResult(let result):
                        _ = try verifier.finish(result)
                        XCTAssertEqual(String(decoding: verifier.stdout, as: UTF8.self), "one\nthree\n")
                        XCTAssertEqual(String(decoding: verifier.stderr, as: UTF8.self), "two\n")
                        XCTAssertEqual(result.stdout, "one\nthree\n")
                    default: return
                    }
                }
            }
        }
    }

    func testAnImagesManifestIsRefusedOrTaken() throws {
        let scratch = try Scratch()
        let path = try scratch.file("manifest.json")
        fuzz([imageManifest], one: 10) { bytes in
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            return refusedAs([.bootConfigInvalid]) {
                let manifest = try ImageManifest.read(path)
                XCTAssertGreaterThan(manifest?.kernel.size ?? 0, 0)
            }
        }
    }

    func testASnapshotsManifestIsRefusedOrReadTheSameAgain() {
        fuzz([snapshotManifest]) { bytes in
            guard let value = try? JSON.parse(bytes), let manifest = try? GoldenManifest(value) else { return false }
            XCTAssertEqual(try GoldenManifest(manifest.json).hash, manifest.hash)
            return true
        }
    }

    func testAKernelIsTakenByItsMagicNumberAlone() throws {
        let scratch = try Scratch()
        var image = [UInt8](repeating: 0, count: 1_024)
        image.replaceSubrange(0..<2, with: Array("MZ".utf8))
        image.replaceSubrange(56..<60, with: Array("ARM\u{64}".utf8))
        var options = BootOptions()
        options.kernel = try scratch.file("Image")
        options.rootfs = try scratch.file("rootfs.img", [UInt8](repeating: 1, count: 512))
        let host = HostFacts(maxCpus: 4, availableMemoryMib: 2_048)
        fuzz([image, Array("MZ\0\0zimg".utf8) + image.dropFirst(8), Array(image.prefix(60))], one: 10) { bytes in
            try Data(bytes).write(to: URL(fileURLWithPath: options.kernel ?? ""))
            let isImage = bytes.dropFirst(56).prefix(4).elementsEqual(Array("ARM\u{64}".utf8))
                && !(bytes.prefix(2).elementsEqual(Array("MZ".utf8)) && bytes.dropFirst(4).prefix(4).elementsEqual(Array("zimg".utf8)))
            let isTaken = refusedAs([.bootConfigInvalid]) { _ = try BootConfig(options, host: host) }
            XCTAssertEqual(isTaken, isImage)
            return isTaken
        }
    }

    func testACommandLineIsRefusedOrTaken() throws {
        let lines = [
            "boot --kernel /k --rootfs=/r --initrd /i --cpus 2 --memory-mib 512 --state-dir /s --socket none",
            "exec --command-id \(someId) --tool sh --params {\"command\":\"id\"} --deadline-ms 5", "save-state --out /o --help", "preflight",
        ]
        let paths = Paths(environment: [:], home: "/home/someone", uid: 501)
        fuzz(lines.map { Array($0.utf8) }) { bytes in
            let words = String(decoding: bytes, as: UTF8.self).split(separator: " ", omittingEmptySubsequences: false).map(String.init)
            do {
                _ = try Command(words, paths)
                return true
            } catch let error as UsageError {
                XCTAssertFalse(error.message.isEmpty)
                return false
            }
        }
    }

    // MARK: Inputs

    private let seed = UInt64(ProcessInfo.processInfo.environment["BSM_FUZZ_SEED"] ?? "") ?? 1
    private let inputs = Int(ProcessInfo.processInfo.environment["BSM_FUZZ_INPUTS"] ?? "") ?? 500

    private let messages: [[UInt8]] = [
        "{\"type\":\"Pong\",\"nonce\":\"12\"}",
        "{\"type\":\"KillAck\",\"command_id\":\"\(someId)\",\"killed\":true}",
        "{\"type\":\"Error\",\"code\":\"BAD_REQUEST\",\"message\":\"no\",\"refused\":\"Resume\"}",
        "{\"type\":\"EvidenceChunk\",\"command_id\":\"\(someId)\",\"seq\":1,\"chunk_data\":\"AWE=\",\"chunk_size\":2,\"is_terminal\":false}",
        "{\"type\":\"ResumeAck\",\"epoch\":1,\"reseeded\":true,\"clock_step_ms\":-4.5e2,\"ram_nonce\":\"\",\"dispatches\":0,\"overlay_bytes\":0}",
        "{\"type\":\"GuestResponse\",\"query_id\":\"\(someId)\",\"query_kind\":\"OpenFdCount\",\"ts\":\"2026-01-02T03:04:05.000Z\",\"open_fd_count\":12}",
        "{\"type\":\"x\\u00e9\\ud83d\\ude00\\n\",\"deep\":[[[{\"a\":[1,2.5,-0,1e21,9007199254740993]}]]],\"none\":null}",
    ].map { Array($0.utf8) }

    private let requests: [[UInt8]] = [
        "{\"kind\":\"status\",\"request_id\":\"\(someId)\"}",
        "{\"kind\":\"query\",\"request_id\":\"\(someId)\",\"query_kind\":\"ProcessList\"}",
        "{\"kind\":\"cancel\",\"request_id\":\"\(someId)\",\"command_id\":\"\(someId)\"}",
        "{\"kind\":\"exec\",\"request_id\":\"\(someId)\",\"command_id\":\"\(someId)\",\"tool\":\"sh\",\"params\":{\"a\":[1]},\"deadline_ms\":5000,\"env\":{\"A\":\"b\"},\"cwd\":\"/\",\"stdin_b64\":\"eA==\",\"files_in\":[{\"path\":\"p\",\"mode\":420,\"data_b64\":\"eA==\"}],\"files_out\":[\"p\"]}",
        "{\"kind\":\"verify\",\"request_id\":\"\(someId)\",\"fs_hash_baseline\":\"\(someDigest)\",\"open_fd_count_baseline\":12,\"expected_vmm_api_state\":\"running\"}",
    ].map { Array($0.utf8) }

    private let imageManifest = Array(
        """
        {"schema":"bsm-image/1","image_version":"1","recipe":"base","arch":"arm64","image_digest":"\(someDigest)",
        "kernel":{"file":"Image","size":1024,"digest":"\(someDigest)"},"initrd":{"file":"initrd","size":10,"digest":"\(someDigest)"},
        "rootfs":{"file":"rootfs.img","size":512,"digest":"\(someDigest)"},"cmdline":"quiet",
        "tools":[{"name":"sh","description":"A shell.","params_schema":{}}],"inputs":[]}
        """.utf8)

    private let snapshotManifest = Array(
        """
        {"schema":"bsm-golden-vz/1","kernel":"\(someDigest)","initrd":"\(someDigest)","rootfs":"\(someDigest)","cmdline":"quiet","cpus":2,
        "memory_mib":512,"backend":"vz","accelerator":"vz","devices":"1","os_build":"23F79","host_id":"H","uid":501,"helper_version":"0.1.0",
        "machine_identifier":"eA==","saved_state":"\(someDigest)","nonce":"\(String(repeating: "0a", count: 32))","image_digest":"\(someDigest)",
        "created_at":"2026-01-02T03:04:05.000Z"}
        """.utf8)

    private func frames(_ bodies: [[UInt8]]) -> [UInt8] { bodies.flatMap { bigEndian(UInt32($0.count)) + $0 } }

    /// Gives `look` changed inputs, one in so many of all; it says whether it took one. Both have to happen.
    private func fuzz(_ originals: [[UInt8]], one: Int = 1, line: UInt = #line, _ look: ([UInt8]) throws -> Bool) {
        fuzz(one: one, line: line) { changes in try look(changes.changed(originals[changes.below(originals.count)])) }
    }

    private func fuzz(one: Int = 1, line: UInt = #line, _ look: (inout Changes) throws -> Bool) {
        var changes = Changes(seed: seed)
        let count = max(50, inputs / one)
        var taken = 0
        for input in 0..<count {
            do { if try look(&changes) { taken += 1 } } catch { XCTFail("input \(input) of seed \(seed): \(error)", line: line) }
        }
        XCTAssertTrue((1..<count).contains(taken), "\(taken) of \(count) were taken", line: line)
        print("fuzzed \(count) inputs")
    }

    /// Whether it was taken; whatever is thrown has one of these codes.
    private func refusedAs(_ codes: [ErrorCode], line: UInt = #line, _ body: () throws -> Void) -> Bool {
        do {
            try body()
            return true
        } catch let error as BsmError {
            XCTAssertTrue(codes.contains(error.code), error.description, line: line)
        } catch { XCTFail("\(error)", line: line) }
        return false
    }
}

/// Changes a few bytes of an input. SplitMix64, for one start gives one row of numbers everywhere.
private struct Changes {
    private var state: UInt64
    private let tokens = [
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u0000", "\\ud800", "\n", "\r", "\0", " ", "\u{feff}", "null", "true", "1e999", "-0", "-1",
        "9007199254740993", "1e308", "0.1", "\u{202e}", "e\u{301}", "[[[[[[[[[[[[[[[[", "\"a\":1,\"a\":2,", "=", "--",
    ].map { Array($0.utf8) }

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    mutating func below(_ count: Int) -> Int { count == 0 ? 0 : Int(next() % UInt64(count)) }

    mutating func changed(_ original: [UInt8]) -> [UInt8] {
        var bytes = original
        for _ in 0...below(3) {
            let at = below(bytes.count + 1)
            let end = min(bytes.count, at + 1 + below(12))
            switch below(6) {
            case 0: if at < bytes.count { bytes[at] = UInt8(truncatingIfNeeded: next()) }
            case 1: bytes.insert(UInt8(truncatingIfNeeded: next()), at: at)
            case 2: bytes.removeSubrange(at..<end)
            case 3: bytes.insert(contentsOf: bytes[at..<end], at: at)
            case 4: bytes.replaceSubrange(at..<end, with: tokens[below(tokens.count)])
            default: bytes.removeSubrange(at...)
            }
        }
        return bytes
    }
}
