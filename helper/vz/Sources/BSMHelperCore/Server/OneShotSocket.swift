import Foundation

/// The Unix socket of the one-shot commands: one NDJSON request a connection (§1).
final class OneShotSocket {
    private static let connectMs = 1_000.0
    /// A client that connects and does not ask is in the way.
    private static let requestMs = 10_000.0
    private static let answerMs = 15_000.0
    private static let maxConnections = 32

    private struct State {
        var listener: Int32?
        var connections = 0
        var isClosed = false
    }

    private let path: String
    private let take: (HelperRequest) -> Helper.Taken
    private let state = Protected(State())

    /// Checks that the path may be had: a live owner is refused, a dead one's socket is replaced.
    init(_ path: String, take: @escaping (HelperRequest) -> Helper.Taken) throws {
        self.path = path
        self.take = take
        try checkSocketPath(path)
        try Files.makeDirectory((path as NSString).deletingLastPathComponent)
        if let reason = PrivateFiles.distrustOfSocket(path) {
            throw BsmError(.bootConfigInvalid, .helper, reason,
                next: "Give another --socket, in a directory of your own that is closed to others, or --socket none.")
        }
        try removeStale(path)
    }

    func listen() throws {
        let fd = try newUnixSocket()
        // The umask decides the mode at bind: there is no moment in which others may connect.
        let before = umask(0o177)
        let bound = withUnixAddress(path) { Foundation.bind(fd, $0, $1) }
        let code = errno
        umask(before)
        guard bound == 0, chmod(path, 0o600) == 0, Foundation.listen(fd, Int32(OneShotSocket.maxConnections)) == 0 else {
            Foundation.close(fd)
            throw BsmError(.bootConfigInvalid, .helper, "The socket \(path) cannot be made.",
                next: "Give another --socket, or --socket none.", details: SystemError("bind", code: code).description)
        }
        state.with { $0.listener = fd }
        Worker.start("bsm.socket") { self.accept(fd) }
    }

    func close() {
        let wasListening = state.with { state -> Bool in
            guard !state.isClosed, state.listener != nil else { return false }
            state.isClosed = true
            return true
        }
        if wasListening { unlink(path) }
    }

    /// The listener's whole life; it looks now and then whether it is still wanted.
    private func accept(_ listener: Int32) {
        defer { Foundation.close(listener) }
        while !state.with({ $0.isClosed }) {
            guard (try? readable(listener, ms: 100)) == true else { continue }
            let connection = Foundation.accept(listener, nil, nil)
            guard connection >= 0 else { continue }
            _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
            let mayServe = state.with { state -> Bool in
                guard state.connections < OneShotSocket.maxConnections else { return false }
                state.connections += 1
                return true
            }
            guard mayServe else {
                Foundation.close(connection)
                continue
            }
            Worker.start("bsm.socket.client") {
                self.serve(connection)
                Foundation.close(connection)
                self.state.with { $0.connections -= 1 }
            }
        }
    }

    private func serve(_ connection: Int32) {
        guard let line = readLine(connection, ms: OneShotSocket.requestMs) else { return }
        let response: HelperResponse
        switch ParsedLine(line) {
        // For a line that had no id: the connection carries one answer and no more, so it is not missed.
        case .refused(let error, let id): response = .error(id ?? "00000000-0000-0000-0000-000000000000", error)
        case .request(let request):
            switch take(request) {
            case .answer(let answer): response = answer
            case .work(let work): response = work()
            }
        }
        writeLine(connection, response.json, ms: OneShotSocket.answerMs)
    }

    private func removeStale(_ path: String) throws {
        guard Files.status(at: path) != nil else { return }
        guard !isLive(path) else {
            throw BsmError(.bootConfigInvalid, .helper, "Another helper listens on \(path).",
                next: "Stop it, or give another --socket.")
        }
        unlink(path)
    }

    private func isLive(_ path: String) -> Bool {
        do {
            Foundation.close(try connectUnix(path, ms: OneShotSocket.connectMs))
            return true
        } catch let error as SystemError {
            // One that neither takes nor refuses a connection is busy, not dead.
            return error.code == EAGAIN || error.code == ETIMEDOUT
        } catch {
            return true
        }
    }
}

func checkSocketPath(_ path: String) throws {
    guard Files.isAbsolute(path) else {
        throw BsmError(.bootConfigInvalid, .helper, "The socket path \"\(path)\" is not absolute.",
            next: "Give an absolute path, or --socket none.")
    }
    let length = path.utf8.count + 1
    guard length <= Limits.socketPathBytes else {
        throw BsmError(.bootConfigInvalid, .helper,
            "The socket path has \(length) bytes; \(Limits.socketPathBytes) are the most that every system takes.",
            next: "Give a shorter --socket, or --socket none.")
    }
}
