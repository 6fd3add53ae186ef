import XCTest

@testable import BSMHelperCore

final class EvidenceTests: XCTestCase {
    func testChainIsThatOfTheSharedVectors() throws {
        let vector = try XCTUnwrap(try sharedVector("chain"))
        var chain = EvidenceChain(commandId: try XCTUnwrap(vector["command_id"]?.text))
        guard case .array(let chunks)? = vector["chunks"] else { return XCTFail("no chunks") }
        for chunk in chunks {
            chain.append(try XCTUnwrap(chunk["chunk_data"]?.text.flatMap(fromBase64)))
            XCTAssertEqual(chain.hash, chunk["hash"]?.text)
        }
        XCTAssertEqual(chain.hash, vector["evidence_hash"]?.text)
    }

    func testCutsAsTheSharedVectorsDo() throws {
        for vector in try sharedVectors("truncation") {
            let prefix = try XCTUnwrap(vector["prefix_b64"]?.text.flatMap(fromBase64))
            let unit = try XCTUnwrap(vector["unit_b64"]?.text.flatMap(fromBase64))
            guard case .number(let times)? = vector["times"] else { return XCTFail("no times") }
            var bytes = prefix
            for _ in 0..<Int(times) { bytes += unit }
            let capped = CappedOutput(bytes)
            XCTAssertEqual(sha256(Array(capped.text.utf8)), vector["text_digest"]?.text)
            XCTAssertEqual(JSON(capped.bytes).bytes, vector["bytes"]?.bytes)
            XCTAssertEqual(capped.encoding, vector["encoding"]?.text)
            XCTAssertEqual(JSON(capped.isTruncated).bytes, vector["truncated"]?.bytes)
        }
    }

    func testAWholeChainGivesItsVerdict() throws {
        var dispatch = try FakeDispatch()
        dispatch.output(1, "hé\n")
        dispatch.output(2, "oops")
        dispatch.end()
        var verifier = EvidenceVerifier(dispatch.request, epoch: 7)
        for chunk in dispatch.chunks { _ = try verifier.push(chunk) }
        XCTAssertTrue(verifier.isComplete)
        XCTAssertEqual(try verifier.finish(try dispatch.result()).evidenceHash, dispatch.chain.hash)
        XCTAssertEqual(String(decoding: verifier.stdout, as: UTF8.self), "hé\n")
    }

    func testOutputIsGivenOutAsItComes() throws {
        var dispatch = try FakeDispatch()
        dispatch.output(2, "err")
        var verifier = EvidenceVerifier(dispatch.request, epoch: 7)
        XCTAssertNil(try verifier.push(dispatch.chunks[0]))
        let output = try XCTUnwrap(try verifier.push(dispatch.chunks[1]))
        XCTAssertEqual(output.stream, .stderr)
        XCTAssertEqual(output.data, Array("err".utf8))
        XCTAssertEqual(output.seq, 2)
    }

    func testDisorderFailsWithItsOwnCode() throws {
        var dispatch = try FakeDispatch()
        for text in ["a", "b", "c"] { dispatch.output(1, text) }
        for (order, code) in [([0, 2], ErrorCode.evidenceGap), ([0, 1, 1], .evidenceDuplicate), ([0, 1, 2, 1], .evidenceOutOfOrder), ([1], .evidenceGap)] {
            var verifier = EvidenceVerifier(dispatch.request, epoch: 7)
            refused(code) { for index in order { _ = try verifier.push(dispatch.chunks[index]) } }
            // Nothing after a failure is taken.
            refused(code) { _ = try verifier.push(dispatch.chunks[3]) }
        }
    }

    func testAnotherDispatchRecordIsAMismatch() throws {
        let dispatch = try FakeDispatch()
        var verifier = EvidenceVerifier(dispatch.request, epoch: 8)
        refused(.evidenceMismatch) { _ = try verifier.push(dispatch.chunks[0]) }
    }

    func testAResultThatDiffersFromItsChainIsAMismatch() throws {
        var dispatch = try FakeDispatch()
        dispatch.output(1, "e\u{301}")
        dispatch.end()
        for change: [(String, JSON)] in [
            [("exit_code", JSON(1))], [("stdout", JSON("\u{e9}"))], [("stderr", JSON("x"))], [("duration_ms", JSON(13))],
            [("evidence_hash", JSON(someDigest))], [("stdout_bytes", JSON(2))], [("truncated", perStream(JSON(true), JSON(false)))],
            [("encoding", perStream(JSON("base64"), JSON("utf-8")))],
            [("error", .record(["code": JSON("CANCELLED"), "message": JSON("x")]))],
        ] {
            var verifier = EvidenceVerifier(dispatch.request, epoch: 7)
            for chunk in dispatch.chunks { _ = try verifier.push(chunk) }
            refused(.evidenceMismatch) { _ = try verifier.finish(try dispatch.result(change)) }
        }
    }

    func testAChainWithoutEndIsAGap() throws {
        var dispatch = try FakeDispatch()
        var verifier = EvidenceVerifier(dispatch.request, epoch: 7)
        _ = try verifier.push(dispatch.chunks[0])
        dispatch.end()
        let result = try dispatch.result()
        refused(.evidenceGap) { _ = try verifier.finish(result) }
    }

    func testChunksThatLieAreMismatches() throws {
        let dispatch = try FakeDispatch()
        let first = dispatch.chunks[0]
        func chunk(_ data: [UInt8], size: Int? = nil, terminal: Bool = false, id: String = someId) -> EvidenceChunk {
            EvidenceChunk(commandId: id, seq: 2, data: data, size: size ?? data.count, isTerminal: terminal)
        }
        for bad in [
            chunk([1, 65], size: 9), chunk([3, 65]), chunk([]), chunk([1], id: newUUID()), chunk(Array("{".utf8), terminal: true),
            chunk(Array("{\"exit_code\":0}".utf8), terminal: true),
            chunk(Array("{ \"duration_ms\":1,\"exit_code\":0,\"truncated\":{\"stderr\":false,\"stdout\":false}}".utf8), terminal: true),
            chunk(Array("{\"duration_ms\":1,\"exit_code\":0,\"files\":[],\"truncated\":{\"stderr\":false,\"stdout\":false}}".utf8), terminal: true),
        ] {
            var verifier = EvidenceVerifier(dispatch.request, epoch: 7)
            _ = try verifier.push(first)
            refused(.evidenceMismatch) { _ = try verifier.push(bad) }
        }
    }

    func testFilesAreComparedByDigestAndOrder() throws {
        var dispatch = try FakeDispatch(extra: "\"params\":{},\"files_out\":[\"a\",\"b\"]")
        let data = Array("x".utf8)
        let record: [JSON] = [
            .record(["path": JSON("a"), "mode": JSON(420), "digest": JSON(sha256(data))]),
            .record(["path": JSON("b"), "error": JSON("not there")]),
        ]
        dispatch.end(files: record)
        let files = JSON.array([
            .record(["path": JSON("a"), "mode": JSON(420), "data_b64": JSON(toBase64(data))]), record[1],
        ])
        var verifier = EvidenceVerifier(dispatch.request, epoch: 7)
        for chunk in dispatch.chunks { _ = try verifier.push(chunk) }
        XCTAssertNoThrow(try verifier.finish(try dispatch.result([("files", files)])))
        let other = JSON.array([.record(["path": JSON("a"), "mode": JSON(420), "data_b64": JSON("")]), record[1]])
        refused(.evidenceMismatch) { _ = try verifier.finish(try dispatch.result([("files", other)])) }
    }

    func testMoreOutputThanADispatchMayHaveIsRefused() throws {
        let dispatch = try FakeDispatch()
        var verifier = EvidenceVerifier(dispatch.request, epoch: 7)
        _ = try verifier.push(dispatch.chunks[0])
        let piece = [UInt8](repeating: 1, count: 1024 * 1024)
        refused(.outputLimit) {
            for seq in 2...70 {
                _ = try verifier.push(EvidenceChunk(commandId: someId, seq: seq, data: piece, size: piece.count, isTerminal: false))
            }
        }
    }

    func testTheChainIsKeptOnceAndPrivately() throws {
        let scratch = try Scratch()
        let dispatch = try FakeDispatch()
        let file = try ChainFile(stateDirectory: scratch.path, commandId: someId)
        file.append(dispatch.chunks[0])
        XCTAssertNil(file.finish())
        XCTAssertNil(file.finish())
        file.append(dispatch.chunks[0])
        XCTAssertEqual(try Files.read(file.path, limit: 10_000), dispatch.chunks[0].json.bytes + [10])
        XCTAssertEqual(Files.status(at: file.path).map { $0.st_mode & 0o777 }, 0o600)
        refused(.badRequest) { _ = try ChainFile(stateDirectory: scratch.path, commandId: someId.uppercased()) }
        refused(.vmLifecycleError) { _ = try ChainFile(stateDirectory: try scratch.file("plain"), commandId: newUUID()) }
    }

    func testTheDispatchRecordNamesFilesByDigest() throws {
        let request = try execRequest(
            "\"params\":{\"b\":1,\"a\":2},\"files_in\":[{\"path\":\"p\",\"mode\":420,\"data_b64\":\"eA==\"}],\"stdin_b64\":\"\",\"cwd\":\"/\",\"env\":{\"K\":\"v\"}")
        let record = try JSON.parse(request.dispatchRecord(epoch: 3))
        XCTAssertEqual(record["stdin"]?.text, emptySHA256)
        XCTAssertEqual(record["epoch"]?.bytes, JSON(3).bytes)
        guard case .array(let files)? = record["files_in"] else { return XCTFail("no files") }
        XCTAssertEqual(files.first?["digest"]?.text, sha256(Array("x".utf8)))
        XCTAssertNil(record["deadline"])
        XCTAssertTrue(String(decoding: request.dispatchRecord(epoch: 3), as: UTF8.self).contains("\"params\":{\"a\":2,\"b\":1}"))
    }
}

/// What an honest guest sends for one dispatch.
struct FakeDispatch {
    let request: ExecRequest
    private(set) var chunks: [EvidenceChunk] = []
    private(set) var chain: EvidenceChain
    private var streams: [UInt8: [UInt8]] = [1: [], 2: []]

    init(epoch: Int = 7, extra: String = "\"params\":{}") throws {
        request = try execRequest(extra)
        chain = EvidenceChain(commandId: request.commandId)
        add(request.dispatchRecord(epoch: epoch), terminal: false)
    }

    mutating func output(_ stream: UInt8, _ text: String) {
        streams[stream, default: []] += Array(text.utf8)
        add([stream] + Array(text.utf8), terminal: false)
    }

    mutating func end(files: [JSON]? = nil) {
        let record = JSON.record([
            "exit_code": JSON(0), "truncated": perStream(JSON(false), JSON(false)), "duration_ms": JSON(12), "files": files.map(JSON.array),
        ])
        add(record.canonicalBytes, terminal: true)
    }

    func resultJSON(_ changes: [(String, JSON)] = []) -> JSON {
        let out = CappedOutput(streams[1] ?? [])
        let err = CappedOutput(streams[2] ?? [])
        let honest = JSON.record([
            "type": JSON("ToolResult"), "command_id": JSON(request.commandId), "exit_code": JSON(0), "stdout": JSON(out.text),
            "stderr": JSON(err.text), "evidence_hash": JSON(chain.hash ?? ""), "truncated": perStream(JSON(false), JSON(false)),
            "stdout_bytes": JSON(out.bytes), "stderr_bytes": JSON(err.bytes), "encoding": perStream(JSON(out.encoding), JSON(err.encoding)),
            "duration_ms": JSON(12),
        ])
        let kept = (honest.members ?? []).filter { member in !changes.contains { $0.0 == member.key } }
        return .object(kept + changes.map { JSON.Member(key: $0.0, value: $0.1) })
    }

    func result(_ changes: [(String, JSON)] = []) throws -> ToolResult {
        guard case .toolResult(let result) = try GuestMessage(resultJSON(changes)) else { throw FormError(description: "no result") }
        return result
    }

    private mutating func add(_ data: [UInt8], terminal: Bool) {
        chain.append(data)
        chunks.append(EvidenceChunk(commandId: request.commandId, seq: chain.seq, data: data, size: data.count, isTerminal: terminal))
    }
}
