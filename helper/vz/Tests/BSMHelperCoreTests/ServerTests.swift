import Foundation
import XCTest

@testable import BSMHelperCore

final class RequestLoopTests: XCTestCase {
    private final class Bench {
        let input = Pipe()
        let output = Pipe()
        let events = Protected<[HelperEvent]>([])
        let early = Protected(0)
        let taken = Protected<[String]>([])
        private(set) var loop: RequestLoop?
        private let writer: LineWriter

        init(_ take: @escaping (HelperRequest) -> Helper.Taken) {
            writer = LineWriter(descriptor: output.fileHandleForWriting.fileDescriptor)
            loop = RequestLoop(
                input: input.fileHandleForReading.fileDescriptor, output: writer, emit: { [events] event in events.with { $0.append(event) } },
                take: { [taken] request in
                    taken.with { $0.append(request.id) }
                    return take(request)
                }, stopEarly: { [early] in early.with { $0 += 1 } })
        }

        func send(_ text: String) { input.fileHandleForWriting.write(Data((text + "\n").utf8)) }

        func response() throws -> JSON {
            guard case .line(let bytes)? = readLine(output.fileHandleForReading.fileDescriptor, ms: 5_000) else {
                throw FormError(description: "no response")
            }
            return try JSON.parse(bytes)
        }
    }

    private func ok(_ request: HelperRequest) -> Helper.Taken { .answer(HelperResponse("ok", request.id, .record([:]))) }

    func testHoldsRequestsUntilTheBootAndKeepsTheirOrder() throws {
        let bench = Bench(ok)
        let ids = (0..<20).map { _ in newUUID() }
        for id in ids { bench.send("{\"kind\":\"status\",\"request_id\":\"\(id)\"}") }
        sleep(ms: 50)
        XCTAssertEqual(bench.taken.current, [])
        bench.loop?.release()
        eventually("all to be taken") { bench.taken.current.count == 20 }
        XCTAssertEqual(bench.taken.current, ids)
        bench.send("{\"kind\":\"status\",\"request_id\":\"\(someId)\"}")
        eventually("the next") { bench.taken.current.last == someId }
    }

    func testAShutdownOrTheEndOfTheInputAbortsABoot() throws {
        let bench = Bench(ok)
        bench.send("{\"kind\":\"shutdown\",\"request_id\":\"\(someId)\"}")
        eventually("the first") { bench.early.current == 1 }
        try bench.input.fileHandleForWriting.close()
        eventually("the second") { bench.early.current == 2 }
        XCTAssertEqual(try bench.loop?.over.wait(), .eof)
    }

    func testSlowWorkDelaysNoOtherAnswer() throws {
        let go = Future<Void>()
        let bench = Bench { request in
            if case .reset = request.kind {
                return .work {
                    _ = try? go.wait()
                    return HelperResponse("slow", request.id, .record([:]))
                }
            }
            return self.ok(request)
        }
        bench.loop?.release()
        bench.send("{\"kind\":\"reset\",\"request_id\":\"\(newUUID())\"}\n{\"kind\":\"status\",\"request_id\":\"\(newUUID())\"}")
        XCTAssertEqual(try bench.response()["kind"]?.text, "ok")
        go.succeed(())
        XCTAssertEqual(try bench.response()["kind"]?.text, "slow")
        bench.loop?.settle(ms: 5_000)
    }

    func testAnIdInUseIsRefusedAndAFreedOneTaken() throws {
        let go = Future<Void>()
        let bench = Bench { request in
            .work {
                _ = try? go.wait()
                return HelperResponse("ok", request.id, .record([:]))
            }
        }
        bench.loop?.release()
        let line = "{\"kind\":\"status\",\"request_id\":\"\(someId)\"}"
        bench.send("\(line)\n\(line)")
        eventually("a complaint") { bench.events.current.count == 1 }
        go.succeed(())
        XCTAssertEqual(try bench.response()["kind"]?.text, "ok")
        bench.loop?.settle(ms: 5_000)
        bench.send(line)
        XCTAssertEqual(try bench.response()["kind"]?.text, "ok")
    }

    func testGarbageGetsProtocolErrorAndAnErrorResponseWhereItHasAnId() throws {
        let bench = Bench(ok)
        bench.loop?.release()
        bench.send("%%%\n{\"kind\":\"frobnicate\",\"request_id\":\"\(someId)\"}")
        XCTAssertEqual(try bench.response()["error"]?["code"]?.text, "BAD_REQUEST")
        eventually("two complaints") { bench.events.current.count == 2 }
        guard case .protocolError = bench.events.current[0] else { return XCTFail("another event") }
    }
}

final class OneShotSocketTests: XCTestCase {
    private func socket(_ path: String) throws -> OneShotSocket {
        try OneShotSocket(path) { .answer(HelperResponse("status_response", $0.id, .record([:]))) }
    }

    private func ask(_ path: String, _ line: String) throws -> JSON? {
        let fd = try connectUnix(path, ms: 1_000)
        defer { close(fd) }
        try Files.write(fd, Array((line + "\n").utf8))
        guard case .line(let bytes)? = readLine(fd, ms: 5_000) else { return nil }
        var more: UInt8 = 0
        XCTAssertEqual(read(fd, &more, 1), 0, "the connection ends with its answer")
        return try JSON.parse(bytes)
    }

    func testAnswersOneRequestAConnection() throws {
        let scratch = try Scratch()
        let path = scratch.path("run/s.sock")
        let server = try socket(path)
        try server.listen()
        XCTAssertEqual(Files.status(at: path).map { $0.st_mode & 0o777 }, 0o600)
        XCTAssertEqual(Files.status(at: scratch.path("run")).map { $0.st_mode & 0o777 }, 0o700)
        let silent = try connectUnix(path, ms: 1_000)
        XCTAssertEqual(try ask(path, "{\"kind\":\"status\",\"request_id\":\"\(someId)\"}")?["request_id"]?.text, someId)
        XCTAssertEqual(try ask(path, "garbage")?["error"]?["code"]?.text, "BAD_REQUEST")
        close(silent)
        server.close()
        server.close()
        XCTAssertNil(Files.status(at: path))
    }

    func testALiveOwnerIsRefusedAndADeadOnesSocketReplaced() throws {
        let scratch = try Scratch()
        let path = scratch.path("s.sock")
        let server = try socket(path)
        try server.listen()
        let error = refused(.bootConfigInvalid) { _ = try socket(path) }
        XCTAssertTrue(error?.message.contains("listens") == true)
        server.close()
        // A socket without an owner, as a helper that was killed leaves it.
        let dead = try newUnixSocket()
        XCTAssertEqual(withUnixAddress(path) { bind(dead, $0, $1) }, 0)
        close(dead)
        let next = try socket(path)
        try next.listen()
        XCTAssertNotNil(try ask(path, "{\"kind\":\"status\",\"request_id\":\"\(someId)\"}"))
        next.close()
    }

    func testRefusesAPathThatWillNotDo() throws {
        let scratch = try Scratch()
        refused(.bootConfigInvalid) { _ = try socket("here.sock") }
        let long = refused(.bootConfigInvalid) { _ = try socket("/tmp/" + String(repeating: "x", count: 99)) }
        XCTAssertTrue(long?.message.contains("104") == true)
        XCTAssertNoThrow(try checkSocketPath("/" + String(repeating: "x", count: 102)))
        let plain = try scratch.file("plain")
        refused(.bootConfigInvalid) { _ = try socket(plain) }
        XCTAssertNotNil(Files.status(at: plain))
    }
}

final class SupportTests: XCTestCase {
    func testAFutureHasOneResultForAll() throws {
        let future = Future<Int>()
        let waiting = (0..<4).map { _ in Worker.run("wait") { try future.wait() } }
        XCTAssertTrue(future.succeed(1))
        XCTAssertFalse(future.succeed(2))
        for waiter in waiting { XCTAssertEqual(try waiter.wait(), 1) }
        struct Late: Error {}
        XCTAssertThrowsError(try Future<Int>().wait(ms: 5) { Late() }) { XCTAssertTrue($0 is Late) }
    }

    func testATickerStops() {
        let count = Protected(0)
        let ticker = Ticker("tick", everyMs: 5) { count.with { $0 += 1 } }
        eventually("three") { count.current >= 3 }
        ticker.stop()
        sleep(ms: 50)
        let before = count.current
        sleep(ms: 50)
        XCTAssertEqual(count.current, before)
    }

    func testTimesAreUTCToTheMillisecond() {
        XCTAssertEqual(timestamp(Date(timeIntervalSince1970: 1_700_000_000.007)), "2023-11-14T22:13:20.007Z")
        XCTAssertEqual(timestamp(Date(timeIntervalSince1970: 0)), "1970-01-01T00:00:00.000Z")
    }

    func testFilesRefuseLinksAndLengths() throws {
        let scratch = try Scratch()
        let path = try scratch.file("a", [1, 2, 3])
        XCTAssertThrowsError(try Files.read(path, limit: 2))
        symlink(path, scratch.path("link"))
        XCTAssertThrowsError(try Files.read(scratch.path("link"), limit: 10))
        XCTAssertThrowsError(try Files.read(scratch.path, limit: 10))
        XCTAssertThrowsError(try Files.makeDirectory(path))
        try Files.makeDirectory(scratch.path("x/y/z"))
        XCTAssertThrowsError(try Files.create(path, []))
        Files.remove(scratch.path("x"))
        XCTAssertNil(Files.status(at: scratch.path("x")))
    }

    func testEveryEventHasItsKindAndTime() {
        for event in [
            HelperEvent.vmmStateChanged(.paused), .guestUnreachable(.error, "m"), .helperPanic("m"), .protocolError("m"),
            .channelChanged(ChannelStatus(port: .query)), .resetPhase(ResetPhase(name: .load, ms: 1, isAhead: true)),
            .standbyChanged(StandbyStatus(state: "none", since: timestamp())), .log(source: "helper", level: "warn", "m"),
            .execOutput(commandId: someId, Output(stream: .stdout, data: [65], seq: 2)),
        ] {
            XCTAssertEqual(event.json["kind"]?.text, "event")
            XCTAssertNotNil(event.json["event"]?.text)
            XCTAssertNotNil(event.json["ts"]?.text)
        }
    }
}
