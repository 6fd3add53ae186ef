import Foundation
import XCTest

@testable import BSMHelperCore

final class FrameTests: XCTestCase {
    func testJoinsFramesHoweverTheyAreCut() throws {
        var parser = FrameParser(maxBytes: 100)
        let stream = encodeFrame(JSON("one")) + encodeFrame(JSON(2)) + encodeFrame(.record(["a": JSON(true)]))
        var bodies: [[UInt8]] = []
        for byte in stream { bodies += try parser.push([byte]) }
        XCTAssertEqual(bodies.map { String(decoding: $0, as: UTF8.self) }, ["\"one\"", "2", "{\"a\":true}"])
        XCTAssertEqual(parser.held, 0)
        XCTAssertEqual(try parser.push(stream).count, 3)
    }

    func testRefusesALengthBeforeItsBytesCome() throws {
        var parser = FrameParser(maxBytes: 100)
        refused(.frameTooLarge) { _ = try parser.push([0, 0, 0, 101]) }
        var other = FrameParser(maxBytes: 100)
        refused(.frameMalformed) { _ = try other.push([0, 0, 0, 0]) }
        XCTAssertEqual(GuestPort.control.frameLimit, 65_536)
        XCTAssertEqual(GuestPort.evidence.frameLimit, 16 * 1024 * 1024)
    }

    func testRefusesWhatIsNoMessage() {
        for text in [
            "garbage", "[]", "{}", "{\"type\":\"Weather\"}", "{\"type\":\"Pong\"}", "{\"type\":\"Pong\",\"nonce\":\"1\",\"x\":1}",
            "{\"Type\":\"Pong\",\"nonce\":\"1\"}", "{\"type\":\"Pong\",\"nonce\":\"1\",\"nonce\":\"2\"}",
            "{\"type\":\"EvidenceChunk\",\"command_id\":\"\(someId)\",\"seq\":0,\"chunk_data\":\"\",\"chunk_size\":0,\"is_terminal\":false}",
            "{\"type\":\"ResumeAck\",\"epoch\":1,\"reseeded\":false,\"clock_step_ms\":0,\"ram_nonce\":\"\",\"dispatches\":0,\"overlay_bytes\":0}",
        ] { refused(.frameMalformed) { _ = try parseFrame(Array(text.utf8)) } }
    }

    func testTakesEveryMessage() throws {
        let dispatch = try FakeDispatch()
        for message in [
            dispatch.resultJSON(), dispatch.chunks[0].json, .record(["type": JSON("WarmupAck")]), .record(["type": JSON("FreezeAck")]),
            .record(["type": JSON("KillAck"), "command_id": JSON(someId), "killed": JSON(true)]),
            .record(["type": JSON("Error"), "code": JSON("BAD_REQUEST"), "message": JSON("no"), "refused": JSON("Resume")]),
            .record([
                "type": JSON("GuestResponse"), "query_id": JSON(someId), "query_kind": JSON("MemUsage"), "ts": JSON(timestamp()),
                "error": .record(["code": JSON("X"), "message": JSON("y")]),
            ]),
        ] { XCTAssertNoThrow(try GuestMessage(message)) }
    }
}

/// The guest's end of one connection, played by the test.
final class FakeGuest {
    let near: Int32
    let far: Int32
    private var frames = FrameParser(maxBytes: Limits.frameBytes)
    private var received: [JSON] = []

    init() {
        signal(SIGPIPE, SIG_IGN)  // as the helper itself does
        var ends: [Int32] = [-1, -1]
        socketpair(AF_UNIX, streamSocket, 0, &ends)
        (near, far) = (ends[0], ends[1])
    }

    deinit { close(far) }

    func send(_ message: JSON) throws { try Files.write(far, encodeFrame(message)) }
    func send(_ bytes: [UInt8]) throws { try Files.write(far, bytes) }
    func hangUp() { shutdown(far, Int32(SHUT_RDWR)) }

    /// The next message of the host.
    func receive(ms: Double = 5_000) throws -> JSON {
        let end = now() + ms
        while received.isEmpty {
            guard try readable(far, ms: end - now()) else { throw FormError(description: "the host sent nothing") }
            var buffer = [UInt8](repeating: 0, count: 65_536)
            let count = read(far, &buffer, buffer.count)
            guard count > 0 else { throw FormError(description: "the host hung up") }
            received += try frames.push(Array(buffer[..<count])).map { try JSON.parse($0) }
        }
        return received.removeFirst()
    }
}

final class FakeConnection: GuestConnection {
    let descriptor: Int32
    let releases = Protected(0)
    init(_ descriptor: Int32) { self.descriptor = descriptor }
    func release() { releases.with { $0 += 1 } }
}

final class ChannelTests: XCTestCase {
    private final class Seen {
        let messages = Protected<[GuestMessage]>([])
        let closed = Protected<[BsmError]>([])
        let states = Protected<[ChannelStatus.State]>([])
    }

    private func channel(_ port: GuestPort = .control, dial: @escaping (Double) throws -> GuestConnection) -> (Channel, Seen) {
        let seen = Seen()
        let channel = Channel(
            port, dial: dial,
            events: Channel.Events(
                message: { message in seen.messages.with { $0.append(message) } }, closed: { error in seen.closed.with { $0.append(error) } },
                changed: { status in seen.states.with { $0.append(status.state) } }))
        return (channel, seen)
    }

    func testDialsAgainUntilTheGuestIsThere() throws {
        let guest = FakeGuest()
        let refusals = Protected(3)
        let (channel, seen) = channel { _ in
            let isRefused = refusals.with { left -> Bool in
                left -= 1
                return left >= 0
            }
            if isRefused { throw SystemError("connect", code: ECONNRESET) }
            return FakeConnection(guest.near)
        }
        try channel.open(ms: 5_000)
        XCTAssertTrue(channel.isOpen)
        XCTAssertEqual(channel.status.state, .open)
        XCTAssertEqual(seen.states.current, [.connecting, .open])
        channel.close()
    }

    func testAGuestThatIsNeverThereIsUnreachable() {
        let (channel, seen) = channel { _ in throw SystemError("connect", code: ECONNRESET) }
        refused(.guestUnreachable) { try channel.open(ms: 60) }
        refused(.guestUnreachable) { try channel.send(JSON("x")) }
        XCTAssertEqual(seen.states.current, [.connecting, .closed])
    }

    func testCountsWhatGoesBothWays() throws {
        let guest = FakeGuest()
        let (channel, seen) = channel { _ in FakeConnection(guest.near) }
        try channel.open(ms: 1_000)
        try channel.send(.record(["type": JSON("Warmup")]))
        XCTAssertEqual(try guest.receive()["type"]?.text, "Warmup")
        try guest.send(.record(["type": JSON("WarmupAck")]))
        eventually("the answer") { seen.messages.current.count == 1 }
        let status = channel.status
        XCTAssertEqual(status.framesIn, 1)
        XCTAssertEqual(status.framesOut, 1)
        XCTAssertEqual(status.bytesOut, 4 + 17)
        channel.close()
    }

    func testMeasuresTheRoundTripAndNoticesAStall() throws {
        let guest = FakeGuest()
        let (channel, _) = channel { _ in FakeConnection(guest.near) }
        try channel.open(ms: 1_000)
        channel.ping()
        let nonce = try XCTUnwrap(try guest.receive()["nonce"])
        try guest.send(.record(["type": JSON("Pong"), "nonce": JSON("of nobody")]))
        try guest.send(.record(["type": JSON("Pong"), "nonce": nonce]))
        eventually("a round trip") { channel.status.rttMs != nil }
        channel.ping()
        sleep(ms: 2_050)
        channel.noticeStall()
        XCTAssertEqual(channel.status.state, .stalled)
        try guest.send(.record(["type": JSON("Pong"), "nonce": try XCTUnwrap(try guest.receive()["nonce"])]))
        eventually("an end of the stall") { channel.status.state == .open }
        channel.close()
    }

    func testTheTimeOfAPauseIsNoRoundTrip() throws {
        let guest = FakeGuest()
        let (channel, seen) = channel { _ in FakeConnection(guest.near) }
        try channel.open(ms: 1_000)
        channel.ping()
        channel.forgetPings()
        try guest.send(.record(["type": JSON("Pong"), "nonce": try XCTUnwrap(try guest.receive()["nonce"])]))
        try guest.send(.record(["type": JSON("WarmupAck")]))
        eventually("what comes behind the answer") { seen.messages.current.count == 1 }
        XCTAssertNil(channel.status.rttMs)
        channel.close()
    }

    func testAnIllFormedFrameIsAnsweredAndEndsTheConnection() throws {
        for (bytes, code) in [
            ([0, 1, 0, 1] as [UInt8], ErrorCode.frameTooLarge), ([0, 0, 0, 0], .frameMalformed), (encodeFrame(JSON("x")), .frameMalformed),
        ] {
            let guest = FakeGuest()
            let connection = FakeConnection(guest.near)
            let (channel, seen) = channel { _ in connection }
            try channel.open(ms: 1_000)
            try guest.send(bytes)
            let answer = try guest.receive()
            XCTAssertEqual(answer["code"]?.text, code.rawValue)
            eventually("the end") { seen.closed.current.first?.code == code }
            XCTAssertFalse(channel.isOpen)
            eventually("a release") { connection.releases.current == 1 }
        }
    }

    func testAFrameThatIsCutOffIsMalformedAndAnEndBetweenFramesIsNot() throws {
        for (bytes, code) in [([0, 0, 0, 9, 34] as [UInt8], ErrorCode.frameMalformed), ([], .guestUnreachable)] {
            let guest = FakeGuest()
            let (channel, seen) = channel { _ in FakeConnection(guest.near) }
            try channel.open(ms: 1_000)
            try guest.send(bytes)
            guest.hangUp()
            eventually("the end") { seen.closed.current.first?.code == code }
        }
    }

    func testAMessageOfAnotherPortIsMalformed() throws {
        let answer: JSON = .record(["type": JSON("KillAck"), "command_id": JSON(UUID().uuidString), "killed": JSON(true)])
        let guest = FakeGuest()
        let (channel, seen) = channel(.query) { _ in FakeConnection(guest.near) }
        try channel.open(ms: 1_000)
        try guest.send(answer)
        eventually("the end") { seen.closed.current.first?.code == .frameMalformed }
        XCTAssertEqual(seen.messages.current.count, 0)
        guest.hangUp()
    }

    func testEachDescriptorIsClosedOnce() throws {
        let (first, second) = (FakeGuest(), FakeGuest())
        let connections = [FakeConnection(first.near), FakeConnection(second.near)]
        let next = Protected(0)
        let (channel, seen) = channel { _ in
            connections[next.with { next -> Int in
                next += 1
                return next - 1
            }]
        }
        try channel.open(ms: 1_000)
        channel.close()
        channel.close()
        eventually("the first to be given back") { connections[0].releases.current == 1 }
        XCTAssertEqual(fcntl(first.near, F_GETFD), -1)
        try channel.open(ms: 1_000)
        XCTAssertEqual(channel.status.reconnects, 1)
        channel.breakDown()
        eventually("the second to be given back") { connections[1].releases.current == 1 }
        refused(.guestUnreachable) { try channel.open(ms: 1_000) }
        XCTAssertEqual(seen.closed.current.count, 1, "a close of our own is no news")
        XCTAssertEqual(connections.map(\.releases.current), [1, 1])
    }

    func testAGuestThatTakesNothingHoldsUpNobodyWhoLooks() throws {
        let guest = FakeGuest()
        let (channel, _) = channel(.dispatch) { _ in FakeConnection(guest.near) }
        try channel.open(ms: 1_000)
        let block = JSON(String(repeating: "x", count: 8 * 1024 * 1024))
        let writing = Worker.run("write") { try channel.send(block) }
        sleep(ms: 50)
        let started = now()
        _ = channel.status
        XCTAssertLessThan(now() - started, 1_000)
        guest.hangUp()
        XCTAssertThrowsError(try writing.wait())
    }
}

final class ControlTests: XCTestCase {
    private func connected(_ port: GuestPort = .control) throws -> (Control, Queries, FakeGuest, Channel) {
        let guest = FakeGuest()
        var control: Control?
        var queries: Queries?
        let channel = Channel(
            port, dial: { _ in FakeConnection(guest.near) },
            events: Channel.Events(
                message: {
                    control?.take($0)
                    queries?.take($0)
                },
                closed: {
                    control?.closed($0)
                    queries?.closed($0)
                }, changed: { _ in }))
        let made = (Control(channel), Queries(channel), guest, channel)
        (control, queries) = (made.0, made.1)
        try channel.open(ms: 1_000)
        return made
    }

    func testResumeGivesEntropyTimeAndEpoch() throws {
        let (control, _, guest, channel) = try connected()
        let key = EpochKey(epoch: 7, token: String(repeating: "0a", count: 32))
        let answer = Worker.run("resume") { try control.resume(key, ms: 5_000) }
        let message = try guest.receive()
        XCTAssertEqual(message["epoch"]?.bytes, JSON(7).bytes)
        XCTAssertEqual(message["token"]?.text, key.token)
        XCTAssertGreaterThanOrEqual(message["entropy"]?.text.flatMap(fromBase64)?.count ?? 0, 32)
        let time = try XCTUnwrap(message["wall_clock_ns"]?.text.flatMap { Int64($0) })
        XCTAssertLessThan(abs(Double(time) / 1e9 - Date().timeIntervalSince1970), 30)
        try guest.send(
            .record([
                "type": JSON("ResumeAck"), "epoch": JSON(7), "reseeded": JSON(true), "clock_step_ms": JSON(-3.5), "ram_nonce": JSON(""),
                "dispatches": JSON(0), "overlay_bytes": JSON(0),
            ]))
        XCTAssertEqual(try answer.wait().clockStepMs, -3.5)
        channel.close()
    }

    func testTwoResumesDrawDifferentEntropy() throws {
        let (control, _, guest, channel) = try connected()
        var drawn = Set<String>()
        for _ in 0..<2 {
            let answer = Worker.run("resume") { try control.resume(EpochKey(epoch: 1, token: ""), ms: 5_000) }
            drawn.insert(try XCTUnwrap(try guest.receive()["entropy"]?.text))
            try guest.send(.record(["type": JSON("Error"), "code": JSON("BAD_REQUEST"), "message": JSON("no"), "refused": JSON("Resume")]))
            XCTAssertThrowsError(try answer.wait()) { XCTAssertTrue($0 is GuestRefusal) }
        }
        XCTAssertEqual(drawn.count, 2)
        channel.close()
    }

    func testAGuestThatGoesFailsEveryQuestion() throws {
        let (control, queries, guest, _) = try connected()
        let warmup = Worker.run("warmup") { try control.warmup(ms: 5_000) }
        let count = Worker.run("count") { try queries.openFdCount(ms: 5_000) }
        let hello = Worker.run("hello") { try control.hello(ms: 5_000) }
        _ = try guest.receive()
        _ = try guest.receive()
        guest.hangUp()
        refused(.guestUnreachable) { try warmup.wait() }
        refused(.guestUnreachable) { _ = try count.wait() }
        refused(.guestUnreachable) { _ = try hello.wait() }
    }

    func testSilenceIsUnreachable() throws {
        let (control, _, _, channel) = try connected()
        refused(.guestUnreachable) { _ = try control.heartbeat(ms: 30) }
        refused(.guestUnreachable) { _ = try control.hello(ms: 30) }
        channel.close()
    }

    func testQueriesAreToldApartAndHeldToTheirForm() throws {
        let (_, queries, guest, channel) = try connected(.query)
        let first = Worker.run("fd") { try queries.ask(.openFdCount, ms: 5_000) }
        let asked = try guest.receive()
        let second = Worker.run("list") { try queries.ask(.processList, ms: 5_000) }
        let other = try guest.receive()
        func answer(_ question: JSON, _ result: JSON) throws {
            try guest.send(
                .record([
                    "type": JSON("GuestResponse"), "query_id": question["query_id"], "query_kind": question["query_kind"], "result": result,
                    "ts": JSON(timestamp()),
                ]))
        }
        try answer(other, .record(["processes": .array([.record(["name": JSON("init"), "pid": JSON(1)])])]))
        XCTAssertNotNil(try second.wait()["processes"])
        try answer(asked, .record(["open_fd_count": JSON("many")]))
        refused(.frameMalformed) { _ = try first.wait() }
        channel.close()
    }

    func testKillAndPowerOffSayWhatTheyMean() throws {
        let (control, _, guest, channel) = try connected()
        let kill = Worker.run("kill") { try control.kill(commandId: someId, ms: 5_000) }
        XCTAssertEqual(try guest.receive()["command_id"]?.text, someId)
        try guest.send(.record(["type": JSON("KillAck"), "command_id": JSON(someId), "killed": JSON(true)]))
        try kill.wait()
        try control.powerOff()
        XCTAssertEqual(try guest.receive()["type"]?.text, "PowerOff")
        channel.close()
    }
}

final class ExecutionTests: XCTestCase {
    private func execution(_ dispatch: FakeDispatch) -> (Execution, Protected<[Int]>) {
        let seqs = Protected<[Int]>([])
        return (
            Execution(
                dispatch.request, epoch: 7,
                hooks: Execution.Hooks(chunk: { chunk in seqs.with { $0.append(chunk.seq) } }, output: { _ in })), seqs
        )
    }

    func testResultAndEvidenceMayComeInAnyOrder() throws {
        var dispatch = try FakeDispatch()
        dispatch.output(1, "x")
        dispatch.end()
        for resultAt in 0...3 {
            let (execution, seqs) = execution(dispatch)
            for (index, chunk) in dispatch.chunks.enumerated() {
                if index == resultAt { execution.take(.toolResult(try dispatch.result())) }
                execution.take(.evidenceChunk(chunk))
            }
            if resultAt == 3 { execution.take(.toolResult(try dispatch.result())) }
            XCTAssertEqual(try execution.wait().result.stdout, "x")
            XCTAssertEqual(seqs.current, [1, 2, 3])
        }
    }

    func testItIsNotOverBeforeWhoeverKeepsTheLastChunkHasIt() throws {
        var dispatch = try FakeDispatch()
        dispatch.output(1, "x")
        dispatch.end()
        let result = GuestMessage.toolResult(try dispatch.result())
        let own = Protected<Execution?>(nil)
        let wasOver = Protected<[Bool]>([])
        let execution = Execution(
            dispatch.request, epoch: 7,
            hooks: Execution.Hooks(
                chunk: { chunk in
                    // The result comes over a connection of its own, at any moment.
                    if chunk.seq == 3 { own.current?.take(result) }
                    wasOver.with { $0.append(own.current?.waitForEnd(ms: 0) ?? true) }
                }, output: { _ in }))
        own.with { $0 = execution }
        for chunk in dispatch.chunks { execution.take(.evidenceChunk(chunk)) }
        XCTAssertEqual(wasOver.current, [false, false, false])
        XCTAssertEqual(try execution.wait().result.stdout, "x")
    }

    func testAGuestThatDoesNotEndAToolTimesOut() throws {
        var request = try FakeDispatch()
        request.output(1, "so far")
        let (execution, _) = execution(request)
        for chunk in request.chunks { execution.take(.evidenceChunk(chunk)) }
        execution.fail(BsmError(.cancelled, .agent, "The command was cancelled."))
        refused(.cancelled) { _ = try execution.wait() }
        XCTAssertEqual(String(decoding: execution.collected().stdout, as: UTF8.self), "so far")
        // Over is over.
        execution.take(.toolResult(try request.result()))
        refused(.cancelled) { _ = try execution.wait() }
    }

    func testARefusalOfTheGuestEndsIt() throws {
        for (code, expected) in [("BAD_REQUEST", ErrorCode.badRequest), ("FRAME_MALFORMED", .guestUnreachable)] {
            let (execution, _) = execution(try FakeDispatch())
            execution.take(
                try GuestMessage(.record(["type": JSON("Error"), "code": JSON(code), "message": JSON("no")])))
            refused(expected) { _ = try execution.wait() }
        }
    }

    func testAResultOfAnotherCommandIsAMismatch() throws {
        let dispatch = try FakeDispatch()
        let (execution, _) = execution(dispatch)
        execution.take(.toolResult(try dispatch.result([("command_id", JSON(newUUID()))])))
        refused(.evidenceMismatch) { _ = try execution.wait() }
    }
}
