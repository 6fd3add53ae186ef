/// One `exec` from request to response.
final class Exec {
    /// A killed tool's result comes at once; a guest that does not send one is not waited for.
    private static let cancelGraceMs = 2_000.0

    private struct State {
        var execution: Execution?
        var isCancelled = false
    }

    let request: ExecRequest
    let startedAt = timestamp()
    let live: LiveVM
    /// Comes when the response is made.
    let over = Future<Void>()
    private let emit: Emit
    private let stateDirectory: String
    private let state = Protected(State())

    init(_ request: ExecRequest, _ live: LiveVM, stateDirectory: String, emit: @escaping Emit) {
        self.request = request
        self.live = live
        self.stateDirectory = stateDirectory
        self.emit = emit
    }

    /// Never throws: what goes wrong is in the outcome.
    func run() -> ExecOutcome {
        var chain: ChainFile?
        do {
            try checkSize(request)
            let file = try ChainFile(stateDirectory: stateDirectory, commandId: request.commandId)
            chain = file
            let executed = try begin(file).wait()
            return succeeded(executed, closed(file))
        } catch {
            return failed(BsmError(error), chain.flatMap(closed))
        }
    }

    /// Ends the tool; returns once it has ended or its grace is over.
    func cancel() {
        let execution = state.with { state -> Execution? in
            state.isCancelled = true
            return state.execution
        }
        guard let execution = execution else { return }
        let end = now() + Exec.cancelGraceMs
        try? live.vm.control.kill(commandId: request.commandId, ms: Exec.cancelGraceMs)
        if !execution.waitForEnd(ms: end - now()) { execution.fail(cancelledExec) }
    }

    private func begin(_ chain: ChainFile) throws -> Execution {
        if state.with({ $0.isCancelled }) { throw cancelledExec }
        let commandId = request.commandId
        let execution = try live.vm.execute(
            request, epoch: live.epoch,
            hooks: Execution.Hooks(chunk: chain.append, output: { [emit] in emit(.execOutput(commandId: commandId, $0)) }))
        let isCancelled = state.with { state -> Bool in
            state.execution = execution
            return state.isCancelled
        }
        // Cancelled between the two: whoever cancelled saw nothing to end.
        if isCancelled { Worker.start("bsm.cancel", cancel) }
        return execution
    }

    /// Nil when the chain could not be kept whole: then that is said, and nothing points at it.
    private func closed(_ chain: ChainFile) -> String? {
        if let execution = state.with({ $0.execution }) { live.vm.isOver(execution) }
        guard let failure = chain.finish() else { return chain.path }
        emit(.log(source: "helper", level: "error", "The evidence of \(request.commandId) was not kept whole: \(failure)"))
        return nil
    }

    private func succeeded(_ executed: Executed, _ evidencePath: String?) -> ExecOutcome {
        let result = executed.result
        let error = result.error.map(guestError)
        return ExecOutcome(
            json: .record([
                "command_id": JSON(request.commandId), "exit_code": JSON(result.exitCode), "stdout": JSON(result.stdout),
                "stderr": JSON(result.stderr), "evidence_hash": JSON(executed.verdict.evidenceHash), "epoch": JSON(live.epoch),
                "duration_ms": JSON(result.durationMs), "truncated": result.truncated, "stdout_bytes": JSON(result.stdoutBytes),
                "stderr_bytes": JSON(result.stderrBytes), "encoding": result.encoding, "files": result.files.map(JSON.array),
                "evidence_path": JSON(orNull: evidencePath), "error": error?.wire,
            ]), error: error, hasEvidence: true, hasRun: true)
    }

    private func failed(_ error: BsmError, _ evidencePath: String?) -> ExecOutcome {
        guard let execution = state.with({ $0.execution }) else { return .refused(request, error) }
        let collected = execution.collected()
        let (out, err) = (CappedOutput(collected.stdout), CappedOutput(collected.stderr))
        let wasKilled = error.code == .sandboxToolTimeout || error.code == .cancelled
        return ExecOutcome(
            json: .record([
                "command_id": JSON(request.commandId), "exit_code": JSON(wasKilled ? ExecOutcome.killed : ExecOutcome.notRun),
                "stdout": JSON(out.text), "stderr": JSON(err.text), "evidence_hash": .null, "error": error.wire,
                "epoch": JSON(live.epoch), "truncated": perStream(JSON(out.isTruncated), JSON(err.isTruncated)),
                "stdout_bytes": JSON(out.bytes), "stderr_bytes": JSON(err.bytes),
                "encoding": perStream(JSON(out.encoding), JSON(err.encoding)), "evidence_path": JSON(orNull: evidencePath),
            ]), error: error, hasEvidence: false, hasRun: true)
    }
}

private let cancelledExec = BsmError(.cancelled, .agent, "The command was cancelled.")

private func checkSize(_ request: ExecRequest) throws {
    let bytes = (request.filesIn ?? []).reduce(0) { $0 + $1.data.count }
    guard bytes <= Limits.filesBytes else {
        throw BsmError(.badRequest, .agent, "Files of \(bytes) bytes were sent; \(Limits.filesBytes) are allowed.",
            next: "Send less, or in several dispatches.")
    }
    guard request.toolDispatch.bytes.count <= Limits.frameBytes else {
        throw BsmError(.badRequest, .agent, "The dispatch does not fit a frame of 16 MiB.", next: "Send less, or in several dispatches.")
    }
}

/// What the guest says of its own failure; a code it has no business with becomes a fault of the guest.
private func guestError(_ error: (code: String, message: String)) -> BsmError {
    guard let code = ErrorCode(rawValue: error.code) else {
        return BsmError(.vmLifecycleError, .guest, error.message, details: error.code)
    }
    return BsmError(code, code == .badRequest ? .agent : .guest, error.message)
}
