import Foundation

/// One open connection into the guest as the channel sees it.
protocol GuestConnection: AnyObject {
    /// A descriptor of the channel's own, which it closes once.
    var descriptor: Int32 { get }
    /// Lets go of whatever else belongs to the connection.
    func release()
}

/// What the helper counts of one guest port on the host side (§2, `status`).
struct ChannelStatus {
    enum State: String { case closed, connecting, open, stalled }

    let port: GuestPort
    var state = State.closed
    var rttMs: Double?
    var bytesIn = 0
    var bytesOut = 0
    var framesIn = 0
    var framesOut = 0
    var reconnects = 0
    var lastError: String?

    var json: JSON {
        .record([
            "port": JSON(Int(port.rawValue)), "state": JSON(state.rawValue), "rtt_ms": JSON(orNull: rttMs),
            "bytes_in": JSON(bytesIn), "bytes_out": JSON(bytesOut), "frames_in": JSON(framesIn),
            "frames_out": JSON(framesOut), "reconnects": JSON(reconnects), "last_error": JSON(orNull: lastError),
        ])
    }
}

/// One guest port: at most one connection at a time, dialled again when the guest was not there yet.
///
/// The descriptor belongs to the thread that reads it: it alone closes it, once. Everyone else shuts it down.
final class Channel {
    struct Events {
        let message: (GuestMessage) -> Void
        /// The connection is gone: closed by the guest, or broken by what it sent.
        let closed: (BsmError) -> Void
        let changed: (ChannelStatus) -> Void
    }

    /// Between two dials: a port without a listener refuses within milliseconds, and many at once wedge the device.
    private static let firstRedialMs = 10.0
    private static let longestRedialMs = 200.0
    /// A Pong that takes longer makes the channel `stalled`.
    private static let stalledMs = 2_000.0
    private static let pingsUnderWay = 4
    /// A guest that takes nothing for so long takes nothing any more.
    private static let writeMs = 15_000.0

    private struct Live {
        let number: Int
        let connection: GuestConnection
        var isShut = false
    }

    private struct State {
        var status: ChannelStatus
        var live: Live?
        var dialled = 0
        var pings: [(nonce: String, at: Double)] = []
        var pingCount = 0
        var isBroken = false
    }

    let port: GuestPort
    private let dial: (_ ms: Double) throws -> GuestConnection
    private let events: Events
    private let state: Protected<State>
    /// One frame at a time; apart from the state, so that a slow write holds up nobody who only looks.
    private let writing = NSLock()

    init(_ port: GuestPort, dial: @escaping (_ ms: Double) throws -> GuestConnection, events: Events) {
        self.port = port
        self.dial = dial
        self.events = events
        state = Protected(State(status: ChannelStatus(port: port)))
    }

    var status: ChannelStatus { state.with { $0.status } }

    var isOpen: Bool { state.with { $0.live != nil } }

    /// Connects, dialling again while the guest refuses, for at most `ms`.
    func open(ms: Double) throws {
        if isOpen { return }
        let end = now() + ms
        become(.connecting)
        var pause = Channel.firstRedialMs
        var last: Error?
        while now() < end {
            if state.with({ $0.isBroken }) { break }
            do {
                try adopt(try dial(end - now()))
                return
            } catch {
                last = error
            }
            sleep(ms: min(pause, end - now()))
            pause = min(pause * 1.5, Channel.longestRedialMs)
        }
        become(.closed)
        throw gone("Port \(port.rawValue) of the guest did not answer within \(Int(ms)) ms.", last.map { String(describing: $0) })
    }

    /// Sends one message; throws `GUEST_UNREACHABLE` when there is no connection.
    func send(_ message: JSON) throws {
        let frame = encodeFrame(message)
        writing.lock()
        defer { writing.unlock() }
        guard let live = state.with({ $0.live }), !live.isShut else {
            throw gone("Port \(port.rawValue) of the guest is not connected.")
        }
        do {
            try write(live, frame)
        } catch {
            shut(live.number)
            throw gone("Port \(port.rawValue) of the guest takes nothing any more.", String(describing: error))
        }
        state.with { state in
            state.status.bytesOut += frame.count
            state.status.framesOut += 1
        }
    }

    /// A Pong that is late shows in ``status``.
    func noticeStall() {
        let time = now()
        state.with { state in
            guard state.live != nil, let oldest = state.pings.first, time - oldest.at > Channel.stalledMs else { return }
            state.status.state = .stalled
        }
    }

    /// Measures the round trip; the answer shows in ``status``.
    func ping() {
        noticeStall()
        let time = now()
        let nonce = state.with { state -> String? in
            guard let live = state.live else { return nil }
            guard state.pings.count < Channel.pingsUnderWay else { return nil }
            state.pingCount += 1
            let nonce = "\(live.number)-\(state.pingCount)"
            state.pings.append((nonce, time))
            return nonce
        }
        guard let nonce = nonce else { return }
        // A connection that is just ending is told of by its reader.
        try? send(.record(["type": JSON("Ping"), "nonce": JSON(nonce)]))
    }

    /// The machine is paused: what is still unanswered would measure the pause.
    func forgetPings() { state.with { $0.pings = [] } }

    /// Ends the connection, not the port: a later ``open(ms:)`` gets a new one.
    func close() {
        // Under the lock: once the reader has taken its turn there, the number may be another file's.
        let wasOpen = state.with { state -> Bool in
            guard let live = state.live else { return false }
            shutdown(live.connection.descriptor, Int32(SHUT_RDWR))
            state.live = nil
            return true
        }
        if wasOpen { become(.closed) }
    }

    /// The VM is gone: nothing opens this port again.
    func breakDown() {
        state.with { $0.isBroken = true }
        if let number = state.with({ $0.live?.number }) { shut(number) }
    }

    // MARK: - One connection

    private func adopt(_ connection: GuestConnection) throws {
        let number = state.with { state -> Int? in
            guard !state.isBroken, state.live == nil else { return nil }
            state.dialled += 1
            if state.dialled > 1 { state.status.reconnects += 1 }
            state.live = Live(number: state.dialled, connection: connection)
            state.pings = []
            return state.dialled
        }
        guard let number = number else {
            Foundation.close(connection.descriptor)
            connection.release()
            throw gone("The VM has ended.")
        }
        become(.open)
        Worker.start("bsm.port\(port.rawValue)") { self.read(number, connection) }
    }

    /// The reader's whole life: from the first byte to the one close of the descriptor.
    private func read(_ number: Int, _ connection: GuestConnection) {
        let end = untilEnd(number, connection.descriptor)
        let wasLive = state.with { state -> Bool in
            guard state.live?.number == number else { return false }
            state.live = nil
            state.status.lastError = end.message
            return true
        }
        // A writer may still hold the descriptor: it is closed when no one does.
        writing.lock()
        Foundation.close(connection.descriptor)
        writing.unlock()
        connection.release()
        if wasLive {
            become(.closed)
            events.closed(end)
        }
    }

    private func untilEnd(_ number: Int, _ descriptor: Int32) -> BsmError {
        var frames = FrameParser(maxBytes: port.frameLimit)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 * 1024, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            do {
                // A frame begun and then 30 s without a byte is malformed (§3).
                guard try readable(descriptor, ms: frames.held > 0 ? Limits.frameSilenceMs : nil) else {
                    throw BsmError(.frameMalformed, .guest, "Port \(port.rawValue) fell silent inside a frame.")
                }
                let count = Foundation.read(descriptor, buffer.baseAddress, buffer.count)
                if count < 0 && (errno == EINTR || errno == EAGAIN) { continue }
                if count <= 0 {
                    guard frames.held == 0 else { throw BsmError(.frameMalformed, .guest, "Port \(port.rawValue) ended inside a frame.") }
                    return gone("The guest closed port \(port.rawValue).")
                }
                guard state.with({ $0.live?.number == number }) else { return gone("The connection was given up.") }
                state.with { $0.status.bytesIn += count }
                for body in try frames.push(UnsafeRawBufferPointer(rebasing: buffer[..<count])) {
                    state.with { $0.status.framesIn += 1 }
                    let message = try parseFrame(body)
                    guard message.belongs(on: port) else {
                        throw BsmError(.frameMalformed, .guest, "Port \(port.rawValue) sent a message of another port.", next: "Reset the VM.")
                    }
                    take(message)
                }
            } catch {
                let refusal = BsmError(error)
                try? send(.record(["type": JSON("Error"), "code": JSON(refusal.code.rawValue), "message": JSON(refusal.message)]))
                return refusal
            }
        }
    }

    private func take(_ message: GuestMessage) {
        if case .pong(let nonce) = message {
            takePong(nonce)
            return
        }
        if case .error(let error) = message { state.with { $0.status.lastError = "\(error.code): \(error.message)" } }
        events.message(message)
    }

    private func takePong(_ nonce: String) {
        state.with { state in
            guard let index = state.pings.firstIndex(where: { $0.nonce == nonce }) else { return }
            state.status.rttMs = now() - state.pings[index].at
            state.pings.remove(at: index)
            if state.status.state == .stalled { state.status.state = .open }
        }
    }

    private func write(_ live: Live, _ bytes: [UInt8]) throws {
        let end = now() + Channel.writeMs
        try bytes.withUnsafeBytes { buffer in
            var written = 0
            while written < buffer.count {
                let count = Foundation.send(
                    live.connection.descriptor, buffer.baseAddress! + written, buffer.count - written, Int32(MSG_DONTWAIT))
                if count >= 0 {
                    written += count
                } else if errno == EAGAIN || errno == EWOULDBLOCK {
                    guard try writable(live.connection.descriptor, ms: end - now()) else { throw SystemError("write", code: ETIMEDOUT) }
                } else if errno != EINTR {
                    throw SystemError("write")
                }
            }
        }
    }

    /// Wakes the reader, which does the rest.
    private func shut(_ number: Int) {
        state.with { state in
            guard let live = state.live, live.number == number, !live.isShut else { return }
            state.live?.isShut = true
            shutdown(live.connection.descriptor, Int32(SHUT_RDWR))
        }
    }

    private func become(_ next: ChannelStatus.State) {
        let changed = state.with { state -> ChannelStatus? in
            guard state.status.state != next else { return nil }
            state.status.state = next
            return state.status
        }
        if let changed = changed { events.changed(changed) }
    }

    private func gone(_ message: String, _ details: String? = nil) -> BsmError {
        BsmError(.guestUnreachable, .guest, message, next: "Reset to get a new VM.", details: details)
    }
}

/// False when `ms` went by; nil waits for ever. Also true at the end of the stream.
func readable(_ descriptor: Int32, ms: Double?) throws -> Bool { try wait(descriptor, POLLIN, ms: ms) }
func writable(_ descriptor: Int32, ms: Double) throws -> Bool { try wait(descriptor, POLLOUT, ms: ms) }

private func wait(_ descriptor: Int32, _ event: Int32, ms: Double?) throws -> Bool {
    let end = ms.map { now() + $0 }
    while true {
        var waiting = pollfd(fd: descriptor, events: Int16(event), revents: 0)
        let left = end.map { max(0, min($0 - now(), 86_400_000)) }
        let count = poll(&waiting, 1, left.map { Int32($0.rounded(.up)) } ?? -1)
        if count > 0 { return true }
        if count == 0 { return false }
        guard errno == EINTR else { throw SystemError("poll") }
    }
}
