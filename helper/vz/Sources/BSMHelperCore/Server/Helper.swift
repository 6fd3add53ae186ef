import Foundation

/// One helper: one image, one VM at a time, and the requests about it (§2).
///
/// A request is taken in two steps: ``take(_:)`` on the thread that reads, where the order of requests is known and
/// nothing waits; and the work it returns, on a thread of its own.
final class Helper {
    /// A snapshot half written when the end comes gets this long; what is then unfinished is removed.
    private static let writingMs = 3_000.0
    private static let endMs = 15_000.0
    /// More at once than this are refused: each has a thread.
    private static let workingLimit = 256

    enum Phase: String {
        case booting, ready, dispatching, resetting, failed, stopping
    }

    /// What a request needs: an answer that is there, or work.
    enum Taken {
        case answer(HelperResponse)
        case work(() -> HelperResponse)
    }

    struct State {
        var phase = Phase.booting
        var running: Running?
        var live: LiveVM?
        var exec: Exec?
        /// Divergence, or silence twice: nothing runs any more in this helper's life (§4).
        var degraded: BsmError?
        /// Why there is no VM to run anything in; a reset may mend it.
        var failure: BsmError?
        var lastReset: ResetReport?
        var bootPath: BootPath?
        var bootMs: Double?
        var bootedAt: String?
        /// Resets that were taken and are not done: no exec may slip in before them.
        var resetsWanted = 0
        var working = 0
    }

    let surroundings: Surroundings
    let state = Protected(State())
    /// Resets and states move one at a time.
    private let turn = NSLock()
    private let stopping = Protected<Future<Void>?>(nil)
    /// The golden snapshot being written to disk.
    private let writing = Protected<Future<Void>?>(nil)
    private var sleepWatch: HostSleep?

    init(_ surroundings: Surroundings) { self.surroundings = surroundings }

    var degraded: BsmError? { state.with { $0.degraded } }

    // MARK: - Boot and end

    /// Returns the `boot_result`, good or bad.
    func boot() -> (json: JSON, error: BsmError?) {
        let started = now()
        let clock = Protected(PhaseClock())
        do {
            let booted = try FirstBoot(surroundings, phase: { name in clock.with { $0.ended(name) } }).run()
            try begin(booted, bootMs: now() - started)
            return (bootResult(booted, clock.current.phases), nil)
        } catch {
            let failure = surroundings.registry.isClosed ? cancelledBoot : BsmError(error.asRestoreError)
            fail(failure)
            return (failedBoot(failure), failure)
        }
    }

    /// Stops every VM and removes every private file; safe to call at any moment, and twice.
    func shutdown() {
        let mine = Future<Void>()
        let first = stopping.with { stopping -> Future<Void>? in
            if let first = stopping { return first }
            stopping = mine
            return nil
        }
        if let first = first {
            _ = try? first.wait()
            return
        }
        stop()
        mine.succeed(())
    }

    private func begin(_ booted: Booted, bootMs: Double) throws {
        let first = booted.first
        guard first.nonce != nil, first.firstAck.ramNonce == first.nonce, first.firstAck.dispatches == 0 else {
            throw BsmError(.vmLifecycleError, .guest, "The restored guest is not the one that was saved.",
                next: "Start again; if it happens again, build the guest image again.")
        }
        first.measureBaselines()
        let running = Running(booted, standby: newStandby(booted.origin))
        let live = liveFrom(first, clockStepMs: first.firstAck.clockStepMs)
        state.with { state in
            guard state.phase != .stopping else { return }
            state.running = running
            state.live = live
            state.phase = live.apiState == .running ? .ready : .failed
            state.bootMs = bootMs
            state.bootedAt = timestamp()
            state.bootPath = booted.coldBootReason == nil ? .fastSnapshot : .coldBoot
        }
        if surroundings.registry.isClosed { throw cancelledBoot }
        running.standby.prepareSoon()
        if let golden = booted.fresh { writing.with { $0 = Worker.run("bsm.keep") { self.keep(golden) } } }
        sleepWatch = HostSleep(willSleep: { [weak self] in self?.hostWillSleep() }, didWake: { [weak self] in self?.hostDidWake() })
    }

    private func stop() {
        let (live, running, exec) = state.with { state -> (LiveVM?, Running?, Exec?) in
            state.phase = .stopping
            return (state.live, state.running, state.exec)
        }
        sleepWatch = nil
        live?.retire()
        running?.standby.retire()
        let ladders = surroundings.registry.close().map { vm in
            Worker.run("bsm.stop") { StopLadder(vm).run(isAwake: vm === live?.vm && exec == nil) }
        }
        for ladder in ladders { _ = try? ladder.wait() }
        exec?.live.vm.execution?.fail(BsmError(.cancelled, .agent, "The helper was shut down.", next: "Start it again."))
        running?.standby.close()
        if let exec = exec { _ = try? exec.over.wait(ms: Helper.endMs) { cancelledBoot } }
        waitForWriting()
        if turn.lock(before: Date(timeIntervalSinceNow: Helper.endMs / 1000)) { turn.unlock() }
        surroundings.run.remove()
    }

    private func waitForWriting() {
        guard let writing = writing.current else { return }
        if (try? writing.wait(ms: Helper.writingMs) { cancelledBoot }) == nil {
            surroundings.store.cancelWriting()
            _ = try? writing.wait(ms: Helper.endMs) { cancelledBoot }
        }
    }

    private func keep(_ golden: GoldenSnapshot) {
        do { try surroundings.store.keep(golden) } catch {
            let error = BsmError(error)
            surroundings.emit(.log(source: "helper", level: "error", "\(error.message) \(error.nextStep ?? "") The next start boots from cold."))
        }
    }

    // MARK: - Sleep

    func hostWillSleep() {
        state.with { $0.running }?.standby.discard("The host slept: the standby was discarded.")
        state.with { $0.live }?.hostWillSleep()
    }

    func hostDidWake() {
        state.with { $0.live }?.hostDidWake()
        state.with { $0.running }?.standby.prepareSoon()
    }

    // MARK: - Requests

    /// Takes one request, in the order of the requests. Never waits.
    func take(_ request: HelperRequest, resetAfter: Bool = false) -> Taken {
        switch request.kind {
        case .status: return .answer(HelperResponse("status_response", request.id, status))
        case .exec(let exec): return takeExec(request.id, exec, resetAfter: resetAfter)
        case .reset: return takeReset(request.id)
        case .saveState(let path): return working(request.id) { self.handleSave(request.id, path) }
        case .restoreState(let path): return working(request.id) { self.handleRestore(request.id, path) }
        case .verify(let expected): return working(request.id) { self.handleVerify(request.id, expected) }
        case .query(let kind): return working(request.id) { self.handleQuery(request.id, kind) }
        case .cancel(let commandId): return working(request.id) { self.handleCancel(request.id, commandId) }
        case .shutdown:
            return .work {
                self.shutdown()
                return HelperResponse("shutdown_response", request.id, .record(["ok": JSON(true)]))
            }
        }
    }

    private func working(_ id: String, _ work: @escaping () -> HelperResponse) -> Taken {
        let mayWork = state.with { state -> Bool in
            guard state.working < Helper.workingLimit else { return false }
            state.working += 1
            return true
        }
        guard mayWork else {
            return .answer(.error(id, BsmError(.busy, .helper, "Too many requests are under way.", next: "Wait for some responses.")))
        }
        return .work {
            defer { self.state.with { $0.working -= 1 } }
            return work()
        }
    }

    private func takeExec(_ id: String, _ request: ExecRequest, resetAfter: Bool) -> Taken {
        let claimed = state.with { state -> Result<Exec, BsmError> in
            if let refusal = refusal(state) { return .failure(refusal) }
            guard let live = state.live else { return .failure(state.failure ?? noVM) }
            let exec = Exec(request, live, stateDirectory: surroundings.stateDirectory, emit: surroundings.emit)
            state.exec = exec
            state.phase = .dispatching
            return .success(exec)
        }
        switch claimed {
        case .failure(let error): return .answer(HelperResponse("exec_response", id, ExecOutcome.refused(request, error).json))
        case .success(let exec):
            return .work {
                let outcome = self.run(exec)
                // One-shot: a dispatch is not answered before its VM is gone (§1).
                let report = resetAfter && outcome.hasRun ? self.exclusively(self.reset) : nil
                return HelperResponse("exec_response", id, outcome.json.joined(.record(["reset": report?.json])))
            }
        }
    }

    private func run(_ exec: Exec) -> ExecOutcome {
        let outcome = exec.run()
        state.with { state in
            if state.exec === exec { state.exec = nil }
            if state.phase == .dispatching { state.phase = .ready }
        }
        exec.over.succeed(())
        // A guest that did not end a tool at its deadline is not trusted to end it later.
        if outcome.error?.code == .sandboxToolTimeout && !outcome.hasEvidence { _ = try? exec.live.vm.kill() }
        return outcome
    }

    private func takeReset(_ id: String) -> Taken {
        state.with { $0.resetsWanted += 1 }
        return .work {
            let report = self.exclusively(self.reset)
            self.state.with { $0.resetsWanted -= 1 }
            return HelperResponse("reset_response", id, report.json)
        }
    }

    private func handleVerify(_ id: String, _ expected: Expected) -> HelperResponse {
        func respond(_ details: VerificationDetails, _ error: BsmError?) -> HelperResponse {
            HelperResponse("verify_response", id, details.json.joined(.record(["error": error?.wire])))
        }
        if expected.fsHash == emptySHA256 {
            return respond(VerificationDetails(expected: expected), BsmError(.badRequest, .agent, "The baseline is the hash of nothing.",
                next: "Give the hash of the root disk."))
        }
        let (live, running, failure) = state.with { ($0.live, $0.running, $0.failure) }
        guard let live = live, let running = running else { return respond(VerificationDetails(expected: expected), failure ?? noVM) }
        let judged = Judgement(Readings(live.vm, running.image.disk), expected)
        return respond(judged.details, disagreement(judged))
    }

    private func handleQuery(_ id: String, _ kind: QueryKind) -> HelperResponse {
        let body: JSON
        do {
            let (live, failure) = state.with { ($0.live, $0.failure) }
            guard let live = live else { throw failure ?? noVM }
            body = .record(["query_kind": JSON(kind.rawValue), "result": try live.vm.queries.ask(kind)])
        } catch {
            body = .record(["query_kind": JSON(kind.rawValue), "error": BsmError(error).wire])
        }
        return HelperResponse("query_response", id, body)
    }

    private func handleCancel(_ id: String, _ commandId: String) -> HelperResponse {
        let exec = state.with { $0.exec }
        let isRunning = exec?.request.commandId.lowercased() == commandId.lowercased()
        if isRunning { exec?.cancel() }
        return HelperResponse("cancel_response", id, .record(["command_id": JSON(commandId), "cancelled": JSON(isRunning)]))
    }

    private func handleSave(_ id: String, _ path: String) -> HelperResponse {
        let body: JSON
        do {
            let bytes = try exclusively { try self.save(path) }
            body = .record(["ok": JSON(true), "out_path": JSON(path), "bytes_written": JSON(bytes)])
        } catch {
            body = .record(["ok": JSON(false), "out_path": JSON(path), "error": BsmError(error).wire])
        }
        return HelperResponse("save_state_response", id, body)
    }

    private func handleRestore(_ id: String, _ path: String) -> HelperResponse {
        var failure: BsmError?
        do { try exclusively { try self.restore(path) } } catch { failure = BsmError(error.asRestoreError) }
        return HelperResponse(
            "restore_state_response", id,
            .record(["ok": JSON(failure == nil), "vmm_api_state": JSON(apiState.rawValue), "error": failure?.wire]))
    }

    // MARK: - Shared with the other halves

    func exclusively<T>(_ work: () throws -> T) rethrows -> T {
        turn.lock()
        defer { turn.unlock() }
        return try work()
    }

    var apiState: VmmApiState { state.with { $0.live }?.apiState ?? .stopped }

    func newStandby(_ origin: Origin) -> StandbyKeeper {
        let surroundings = self.surroundings
        return StandbyKeeper(
            prepare: { [weak self] isAhead in
                let prepared = try surroundings.preparer.prepare(origin, isAhead: isAhead, phase: surroundings.tellPhase)
                prepared.measureBaselines()
                self?.probed(prepared.origin)
                return prepared
            },
            // Machines that were not restored share no identifier.
            mayBeAhead: { origin.path == .coldBoot || surroundings.probe.current != .sequential },
            changed: { surroundings.emit(.standbyChanged($0)) })
    }

    func liveFrom(_ prepared: PreparedVM, clockStepMs: Double) -> LiveVM {
        LiveVM(prepared, clockStepMs: clockStepMs, emit: surroundings.emit, lost: { [weak self] in self?.fail($0) })
    }

    func fail(_ error: BsmError) {
        state.with { state in
            if state.phase == .stopping { return }
            state.failure = error
            // A reset under way decides for itself what it ends as.
            if state.phase != .resetting || state.live == nil { state.phase = .failed }
        }
    }

    func degrade(_ error: BsmError) {
        state.with { $0.degraded = error }
        fail(error)
    }

    /// A VM was restored while another lived: the probe, if that one still answers.
    private func probed(_ origin: Origin) {
        guard origin.path == .fastSnapshot, surroundings.probe.current == .unknown, let live = state.with({ $0.live }),
            live.vm.machine.ended.outcome == nil
        else { return }
        if (try? live.vm.control.heartbeat(ms: Limits.heartbeatEveryMs)) != nil { surroundings.probe.found(.parallel) }
    }

    /// Why nothing may be dispatched now, or nil.
    private func refusal(_ state: State) -> BsmError? {
        if let degraded = state.degraded { return degradedError(degraded) }
        if state.resetsWanted > 0 && (state.phase == .ready || state.phase == .dispatching) {
            return BsmError(.busy, .helper, "The VM is being reset.", next: "Wait for the reset.")
        }
        switch state.phase {
        case .ready: return nil
        case .dispatching: return BsmError(.busy, .helper, "Another command is running.", next: "Wait for its response.")
        case .resetting: return BsmError(.busy, .helper, "The VM is being reset.", next: "Wait for the reset.")
        case .failed: return state.failure ?? noVM
        case .booting, .stopping: return noVM
        }
    }

    private func bootResult(_ booted: Booted, _ phases: [(name: String, ms: Double)]) -> JSON {
        .record([
            "kind": JSON("boot_result"), "ok": JSON(true), "vsock_cid": booted.first.hello.vsockCid.map(JSON.init),
            "vmm_api_state": JSON(apiState.rawValue),
            "boot_path": JSON((booted.coldBootReason == nil ? BootPath.fastSnapshot : .coldBoot).rawValue), "ts": JSON(timestamp()),
            "cold_boot_reason": booted.coldBootReason.map(JSON.init),
            "phases": .array(phases.map { .record(["name": JSON($0.name), "ms": JSON($0.ms)]) }),
        ])
    }
}

/// Everything that is there once the VM was booted.
final class Running {
    let image: PrivateImage
    let cold: ColdImage
    let origin: Origin
    let fsHashBaseline: String
    let parts: GoldenParts
    let standby: StandbyKeeper

    init(_ booted: Booted, standby: StandbyKeeper) {
        image = booted.image
        cold = booted.cold
        origin = booted.origin
        fsHashBaseline = booted.fsHashBaseline
        parts = booted.parts
        self.standby = standby
    }

    /// The same with another origin.
    init(_ running: Running, origin: Origin, standby: StandbyKeeper) {
        image = running.image
        cold = running.cold
        fsHashBaseline = running.fsHashBaseline
        parts = running.parts
        self.origin = origin
        self.standby = standby
    }
}

func failedBoot(_ error: BsmError) -> JSON {
    .record([
        "kind": JSON("boot_result"), "ok": JSON(false), "vmm_api_state": JSON("stopped"), "boot_path": JSON("cold_boot"),
        "ts": JSON(timestamp()), "error": error.wire,
    ])
}

let noVM = BsmError(.vmLifecycleError, .helper, "There is no VM.", next: "Start the helper again.")

func degradedError(_ why: BsmError) -> BsmError {
    BsmError(.degraded, .helper, "Nothing is run any more: \(why.message)",
        next: "A person must look at it and recover the sandbox.", details: why.code.rawValue)
}

private func disagreement(_ judged: Judgement) -> BsmError? {
    func list(_ sources: [Source]) -> String { sources.map(\.rawValue).joined(separator: ", ") }
    if !judged.disagreeing.isEmpty {
        return BsmError(.resetVerificationDivergence, .helper, "Not as expected: \(list(judged.disagreeing)).", next: "Reset the VM.")
    }
    if !judged.silent.isEmpty {
        return BsmError(.resetVerificationTimeout, .helper, "Could not be read: \(list(judged.silent)).", next: "Reset the VM.")
    }
    return nil
}
