import Foundation

/// `boot`: the helper itself, from its first line to the moment when everything it started is gone (§1, §2).
final class BootSession {
    private static let flushMs = 2_000.0
    private static let settleMs = 3_000.0
    /// A golden snapshot of 1 GiB takes about this much: a guest at rest has touched little of its memory.
    private static let snapshotMib = 192
    private static let earlyEvents = 1000

    private struct State {
        var helper: Helper?
        var owner: StateDirectoryOwner?
        var socket: OneShotSocket?
        var isStopWanted = false
        /// Events before `boot_result`, which is the first line.
        var early: [HelperEvent]? = []
    }

    private let command: BootCommand
    private let paths: Paths
    private let output = LineWriter(descriptor: STDOUT_FILENO)
    private let state = Protected(State())

    init(_ command: BootCommand, _ paths: Paths) {
        self.command = command
        self.paths = paths
    }

    /// Returns the exit code.
    func run() -> Int32 {
        forbidCoreDumps()
        let signalled = Future<Void>()
        let signals = Signals { [weak self] in
            signalled.succeed(())
            self?.stopEarly()
        }
        defer { withExtendedLifetime(signals) {} }
        let loop = RequestLoop(
            input: STDIN_FILENO, output: output, emit: emit, take: { self.take($0) }, stopEarly: { self.stopEarly() })
        let (result, error) = boot()
        output.write(result)
        let early = state.with { state -> [HelperEvent] in
            defer { state.early = nil }
            return state.early ?? []
        }
        for event in early { output.writeIfRoom(event.json) }
        if let error = error {
            let wasAborted = error.code == .cancelled
            if wasAborted { loop.release() }  // a shutdown that was held is still answered
            return end(loop, wasAborted ? Exit.ok : Exit.code(for: error.code))
        }
        loop.release()
        let over = Future<Void>()
        Worker.start("bsm.until.signal") { if (try? signalled.wait()) != nil { over.succeed(()) } }
        Worker.start("bsm.until.over") { if (try? loop.over.wait()) != nil { over.succeed(()) } }
        _ = try? over.wait()
        let degraded = state.with { $0.helper }?.degraded
        return end(loop, degraded.map { Exit.code(for: $0.code) } ?? Exit.ok)
    }

    private func end(_ loop: RequestLoop, _ code: Int32) -> Int32 {
        let (helper, owner, socket) = state.with { ($0.helper, $0.owner, $0.socket) }
        socket?.close()
        helper?.shutdown()
        loop.settle(ms: BootSession.settleMs)
        owner?.release()
        output.flush(ms: BootSession.flushMs)
        return code
    }

    private func boot() -> (JSON, BsmError?) {
        do {
            let helper = try assemble()
            let isStopWanted = state.with { state -> Bool in
                state.helper = helper
                return state.isStopWanted
            }
            if isStopWanted { helper.shutdown() }
            let (result, error) = helper.boot()
            if error == nil { try state.with { $0.socket }?.listen() }
            return (result, error)
        } catch {
            let failure = known(error)
            return (failedBoot(failure), failure)
        }
    }

    private func assemble() throws -> Helper {
        guard Files.isAbsolute(command.stateDirectory) else {
            throw BsmError(.bootConfigInvalid, .helper, "--state-dir is not an absolute path.", next: "Give an absolute path.")
        }
        let config = try BootConfig(command.options, host: .current())
        if let path = command.socket {
            let socket = try OneShotSocket(path) { self.take($0, resetAfter: true) }
            state.with { $0.socket = socket }
        }
        let owner = try StateDirectoryOwner(command.stateDirectory)
        state.with { $0.owner = owner }
        if let free = freeMib(at: command.stateDirectory), free < BootSession.snapshotMib {
            throw BsmError(.vmLifecycleError, .helper,
                "The disk is full: \(free) MiB are free where the state directory is, \(BootSession.snapshotMib) MiB are needed.",
                next: "Free space on the disk of \(command.stateDirectory), or give another --state-dir.")
        }
        return Helper(
            try Surroundings(
                config: config, facts: currentFacts(), stateDirectory: command.stateDirectory, epochFloors: paths.epochFloors,
                authenticator: try Authenticator(keyPath: paths.manifestKey), emit: emit,
                isConsoleLocked: { currentFacts().isConsoleLocked }))
    }

    private func take(_ request: HelperRequest, resetAfter: Bool = false) -> Helper.Taken {
        if let helper = state.with({ $0.helper }) { return helper.take(request, resetAfter: resetAfter) }
        if case .shutdown = request.kind {
            return .answer(HelperResponse("shutdown_response", request.id, .record(["ok": JSON(true)])))
        }
        return .answer(.error(request.id, noVM))
    }

    private func stopEarly() {
        let helper = state.with { state -> Helper? in
            state.isStopWanted = true
            return state.helper
        }
        Worker.start("bsm.stop.early") { helper?.shutdown() }
    }

    private func emit(_ event: HelperEvent) {
        let isKept = state.with { state -> Bool in
            guard let early = state.early else { return false }
            if early.count < BootSession.earlyEvents { state.early?.append(event) }
            return true
        }
        if !isKept { output.writeIfRoom(event.json) }
    }
}

/// Errors of the file system, as people know them.
private func known(_ error: Error) -> BsmError {
    guard let system = error as? SystemError else { return BsmError(error.asRestoreError) }
    func say(_ message: String, _ next: String) -> BsmError {
        BsmError(.vmLifecycleError, .helper, message, next: next, details: system.description)
    }
    switch system.code {
    case ENOSPC, EDQUOT: return say("The disk is full.", "Free space where the state directory is.")
    case EACCES, EPERM, EROFS: return say("A directory of ours may not be written.", "Look at its owner and permissions.")
    case ENOTDIR, EEXIST:
        return say("A file is where a directory of ours should be.", "Move it away, or give another --state-dir.")
    default: return BsmError(error)
    }
}
