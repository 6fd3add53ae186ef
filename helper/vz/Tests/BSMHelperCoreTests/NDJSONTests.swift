import Foundation
import XCTest

@testable import BSMHelperCore

final class NDJSONTests: XCTestCase {
    private func texts(_ lines: [Line]) -> [String] {
        lines.map { line in
            switch line {
            case .line(let bytes): return String(decoding: bytes, as: UTF8.self)
            case .tooLong: return "TOO LONG"
            }
        }
    }

    func testSplitsLinesHoweverTheyAreCut() {
        var splitter = LineSplitter()
        var lines: [Line] = []
        for byte in Array("one\r\n\n  \ntwo ž\nthree".utf8) { lines += splitter.push([byte]) }
        XCTAssertEqual(texts(lines), ["one", "two ž"])
        XCTAssertEqual(texts(splitter.push(Array("\nfour\nfive\n".utf8))), ["three", "four", "five"])
    }

    func testAnOverlongLineIsReportedOnceAndTheNextIsServed() {
        var splitter = LineSplitter(maxBytes: 8)
        XCTAssertEqual(texts(splitter.push(Array("12345678".utf8))), [])
        XCTAssertEqual(texts(splitter.push(Array("9".utf8))), ["TOO LONG"])
        XCTAssertEqual(texts(splitter.push(Array("more and more".utf8))), [])
        XCTAssertEqual(texts(splitter.push(Array("\nok\n".utf8))), ["ok"])
    }

    func testWritesLinesInOrder() throws {
        let pipe = Pipe()
        let writer = LineWriter(descriptor: pipe.fileHandleForWriting.fileDescriptor)
        for number in 0..<100 { writer.write(JSON(number)) }
        writer.flush(ms: 5_000)
        try pipe.fileHandleForWriting.close()
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        XCTAssertEqual(text, (0..<100).map { "\($0)\n" }.joined())
    }

    func testAReaderThatIsGoneHoldsNothingUp() throws {
        signal(SIGPIPE, SIG_IGN)
        let pipe = Pipe()
        try pipe.fileHandleForReading.close()
        let writer = LineWriter(descriptor: pipe.fileHandleForWriting.fileDescriptor)
        writer.write(JSON("x"))
        let started = now()
        writer.flush(ms: 10_000)
        writer.write(JSON("x"))
        XCTAssertLessThan(now() - started, 5_000)
    }

    func testAReaderThatPausesStopsEventsButNoResponse() throws {
        let pipe = Pipe()
        let writer = LineWriter(descriptor: pipe.fileHandleForWriting.fileDescriptor)
        let block = JSON(String(repeating: "x", count: 1024 * 1024))
        for _ in 0..<40 { writer.writeIfRoom(block) }
        writer.writeIfRoom(JSON("event"))
        writer.write(JSON("response"))
        let reader = Worker.run("reader") { pipe.fileHandleForReading.readDataToEndOfFile() }
        writer.flush(ms: 20_000)
        try pipe.fileHandleForWriting.close()
        let lines = String(decoding: try reader.wait(), as: UTF8.self).split(separator: "\n")
        XCTAssertEqual(lines.last, "\"response\"")
        XCTAssertFalse(lines.contains("\"event\""))
        XCTAssertLessThan(lines.count, 40)
    }

    func testALineThatIsNoRequestIsRefusedWithItsIdWhereItHasOne() {
        func refusal(_ text: String) -> (BsmError, String?)? {
            guard case .refused(let error, let id) = ParsedLine(.line(Array(text.utf8))) else { return nil }
            return (error, id)
        }
        XCTAssertNil(refusal("garbage")?.1)
        XCTAssertEqual(refusal("{\"request_id\":\"\(someId)\"}")?.1, someId)
        XCTAssertNil(refusal("{\"kind\":\"status\",\"request_id\":\"seven\"}")?.1)
        XCTAssertEqual(refusal("{\"kind\":\"status\",\"request_id\":\"\(someId)\",\"x\":1}")?.0.code, .badRequest)
        guard case .refused = ParsedLine(.tooLong) else { return XCTFail("taken") }
    }

    func testTakesEveryRequest() throws {
        for text in [
            "\"kind\":\"reset\"", "\"kind\":\"status\"", "\"kind\":\"shutdown\"", "\"kind\":\"save_state\",\"out_path\":\"/x\"",
            "\"kind\":\"restore_state\",\"from_path\":\"/x\"", "\"kind\":\"query\",\"query_kind\":\"MemUsage\"",
            "\"kind\":\"cancel\",\"command_id\":\"\(someId)\"",
            "\"kind\":\"verify\",\"fs_hash_baseline\":\"\(someDigest)\",\"open_fd_count_baseline\":1,\"expected_vmm_api_state\":\"running\"",
        ] { XCTAssertNoThrow(try HelperRequest(try json("{\"request_id\":\"\(someId)\",\(text)}")), text) }
    }

    func testRefusesAnExecOutOfBounds() {
        for text in [
            "\"params\":[]", "\"params\":\"{}\"", "\"params\":null", "\"params\":{},\"stdin_b64\":\"***\"", "\"params\":{},\"files_in\":{}",
            "\"params\":{},\"files_in\":[{\"path\":\"a\",\"mode\":2541,\"data_b64\":\"\"}]", "\"params\":{},\"files_out\":[7]",
            "\"params\":{},\"files_out\":[\"\"]", "\"params\":{},\"cwd\":7", "\"params\":{},\"env\":[\"A=1\"]", "\"params\":{},\"env\":{\"A\":1}",
            "\"params\":{},\"colour\":1",
        ] { XCTAssertThrowsError(try execRequest(text), text) }
        for deadline in [99, 3_600_001, -1] { XCTAssertThrowsError(try execRequest(deadlineMs: deadline)) }
        for deadline in [100, 3_600_000] { XCTAssertNoThrow(try execRequest(deadlineMs: deadline)) }
    }
}
