import Foundation

/// The VM that dispatches run in: its heartbeat, and what the helper knows of it without asking.
final class LiveVM {
    private struct State {
        var api = VmmApiState.running
        var beat: HeartbeatAck
        var beatAt = timestamp()
        var clockStepMs: Double
        var beats = 0
        var missed = 0
        var isRetired = false
        var isLost = false
    }

    let prepared: PreparedVM
    private let emit: Emit
    private let lost: (BsmError) -> Void
    private let state: Protected<State>
    private var ticker: Ticker?

    init(_ prepared: PreparedVM, clockStepMs: Double, emit: @escaping Emit, lost: @escaping (BsmError) -> Void) {
        self.prepared = prepared
        self.emit = emit
        self.lost = lost
        state = Protected(State(beat: prepared.beat, clockStepMs: clockStepMs))
        vm.listen(
            GuestVM.Events(
                channel: { emit(.channelChanged($0)) },
                ended: { [weak self] end in self?.hasEnded(end) }))
        ticker = Ticker("bsm.heartbeat", everyMs: Limits.heartbeatEveryMs) { [weak self] in self?.beat() }
        // The machine may have ended between the preparation and this.
        if case .success(let end)? = vm.machine.ended.outcome { hasEnded(end) }
    }

    var vm: GuestVM { prepared.vm }
    var epoch: Int { prepared.key.epoch }
    var apiState: VmmApiState { state.with { $0.api } }

    var guestFacts: JSON {
        state.with { state in
            .record([
                "bytes_used": JSON(state.beat.bytesUsed), "bytes_total": JSON(state.beat.bytesTotal),
                "processes": JSON(state.beat.processes), "load": JSON(state.beat.load),
                "overlay_bytes": JSON(state.beat.overlayBytes), "clock_step_ms": JSON(state.clockStepMs), "at": JSON(state.beatAt),
            ])
        }
    }

    /// Its end is wanted from now on: no one is told.
    func retire() {
        state.with { $0.isRetired = true }
        ticker?.stop()
        vm.listen(GuestVM.Events())
    }

    /// The host goes to sleep: the guest stops with it.
    func hostWillSleep() {
        guard !state.with({ $0.isRetired }) else { return }
        if (try? vm.pause()) != nil { become(.paused) }
    }

    /// The host is awake: the guest goes on, with fresh entropy and the right time (§3, a repeated Resume).
    func hostDidWake() {
        guard !state.with({ $0.isRetired }) else { return }
        do {
            if try vm.machine.apiState(ms: Limits.sourceSilenceMs) == .paused { try vm.machine.resume() }
            become(.running)
            let ack = try vm.control.resume(prepared.key, ms: Limits.sourceSilenceMs)
            state.with { state in
                state.clockStepMs = ack.clockStepMs
                state.missed = 0
            }
        } catch {
            lose(BsmError(.guestUnreachable, .guest, "The guest did not wake up with its host.", next: "Reset to get a new VM.",
                details: String(describing: error)))
        }
    }

    private func beat() {
        if state.with({ $0.isRetired || $0.api != .running }) { return }
        // Each answer costs an emulated VM that idles most of what it costs at all.
        let turn = state.with { state -> Int in
            state.beats += 1
            return state.beats
        }
        if vm.execution == nil { vm.pingInTurn(turn) } else { vm.ping() }
        do {
            let beat = try vm.control.heartbeat(ms: Limits.heartbeatEveryMs - 100)
            state.with { state in
                state.missed = 0
                state.beat = beat
                state.beatAt = timestamp()
            }
        } catch {
            let missed = state.with { state -> Int in
                state.missed += 1
                return state.missed
            }
            if missed == Limits.heartbeatsMissed {
                lose(BsmError(.guestUnreachable, .guest, "The guest missed three heartbeats.", next: "Reset to get a new VM."))
            }
        }
    }

    private func hasEnded(_ end: MachineEnd) {
        become(end.isClean ? .stopped : .error)
        lose(BsmError(.guestUnreachable, .hypervisor, "The VM has ended (\(end.description)).", next: "Reset to get a new VM."))
    }

    private func lose(_ error: BsmError) {
        let api = state.with { state -> VmmApiState? in
            if state.isRetired || state.isLost { return nil }
            state.isLost = true
            return state.api
        }
        guard let api = api else { return }
        ticker?.stop()
        emit(.guestUnreachable(api, error.message))
        vm.execution?.fail(error)
        lost(error)
    }

    private func become(_ next: VmmApiState) {
        let isNews = state.with { state -> Bool in
            if state.isRetired || state.api == next { return false }
            state.api = next
            return true
        }
        if isNews { emit(.vmmStateChanged(next)) }
    }
}
