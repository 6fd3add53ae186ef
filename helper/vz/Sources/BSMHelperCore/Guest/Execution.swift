/// A dispatch that found its end: what the guest said, and what the chain proves.
struct Executed {
    let result: ToolResult
    let verdict: Verdict
}

/// One dispatch under way: joins its result (1024) and its evidence (1025), and bounds it in time.
final class Execution {
    /// What the guest has beyond a dispatch's own deadline: 10 s to collect files, 5 s to empty the tool's cgroup, and the
    /// way. A guest that is silent for longer is not waited for.
    private static let hostGraceMs = 17_000.0
    /// Result and evidence come over two connections: the one may arrive this much before the other.
    private static let chainLagMs = 5_000.0

    struct Hooks {
        let chunk: (EvidenceChunk) -> Void
        let output: (Output) -> Void
    }

    private struct State {
        var verifier: EvidenceVerifier
        var result: ToolResult?
        /// A chunk was taken, and whoever keeps it does not have it yet.
        var isHandingOn = false
        var isOver = false
    }

    let commandId: String
    private let deadlineMs: Double
    private let hooks: Hooks
    private let state: Protected<State>
    private let done = Future<Executed>()
    private let resultCame = Future<Void>()

    init(_ request: ExecRequest, epoch: Int, hooks: Hooks) {
        commandId = request.commandId
        deadlineMs = Double(request.deadlineMs)
        self.hooks = hooks
        state = Protected(State(verifier: EvidenceVerifier(request, epoch: epoch)))
    }

    /// Waits until result and chain agree; throws what went wrong.
    func wait() throws -> Executed {
        do {
            try resultCame.wait(ms: deadlineMs + Execution.hostGraceMs) {
                BsmError(.sandboxToolTimeout, .guest, "The guest did not end the tool at its deadline.",
                    next: "The VM is replaced by the next reset; run the command again with a longer deadline.")
            }
            return try done.wait(ms: Execution.chainLagMs) {
                BsmError(.evidenceGap, .guest, "The result came, the end of its evidence did not.")
            }
        } catch {
            fail(BsmError(error))
            return try done.wait()
        }
    }

    /// Waits for any end at most `ms`; false when there was none.
    func waitForEnd(ms: Double) -> Bool {
        struct Late: Error {}
        do { _ = try done.wait(ms: ms) { Late() } } catch is Late { return false } catch {}
        return true
    }

    /// Output that came, for a dispatch that found no good end.
    func collected() -> (stdout: [UInt8], stderr: [UInt8]) { state.with { ($0.verifier.stdout, $0.verifier.stderr) } }

    func take(_ message: GuestMessage) {
        do {
            switch message {
            case .evidenceChunk(let chunk): try takeChunk(chunk)
            case .toolResult(let result): try takeResult(result)
            case .error(let error): throw refusal(error.code, error.message)
            default: break
            }
        } catch {
            fail(BsmError(error))
        }
    }

    func fail(_ error: BsmError) {
        let isFirst = state.with { state -> Bool in
            defer { state.isOver = true }
            return !state.isOver
        }
        guard isFirst else { return }
        done.fail(error)
        resultCame.fail(error)
    }

    private func takeChunk(_ chunk: EvidenceChunk) throws {
        let taken = try state.with { state -> (isTaken: Bool, output: Output?) in
            if state.isOver { return (false, nil) }
            let output = try state.verifier.push(chunk)
            state.isHandingOn = true
            return (true, output)
        }
        guard taken.isTaken else { return }
        hooks.chunk(chunk)
        if let output = taken.output { hooks.output(output) }
        state.with { $0.isHandingOn = false }
        try tryToFinish()
    }

    private func takeResult(_ result: ToolResult) throws {
        guard result.commandId.isSameBytes(as: commandId) else {
            throw BsmError(.evidenceMismatch, .guest, "A result of another command (\(result.commandId)) came.")
        }
        // The guest itself has nowhere to send evidence to: none will come.
        if let error = result.error, error.code == ErrorCode.guestUnreachable.rawValue { throw refusal(error.code, error.message) }
        state.with { if !$0.isOver { $0.result = result } }
        resultCame.succeed(())
        try tryToFinish()
    }

    private func tryToFinish() throws {
        let executed = try state.with { state -> Executed? in
            guard !state.isOver, !state.isHandingOn, let result = state.result, state.verifier.isComplete else { return nil }
            let executed = Executed(result: result, verdict: try state.verifier.finish(result))
            state.isOver = true
            return executed
        }
        if let executed = executed { done.succeed(executed) }
    }
}

private func refusal(_ code: String, _ message: String) -> BsmError {
    code == ErrorCode.badRequest.rawValue
        ? BsmError(.badRequest, .agent, "The guest refused the dispatch: \(message)")
        : BsmError(.guestUnreachable, .guest, "The guest refused the dispatch: \(message)", details: code)
}
