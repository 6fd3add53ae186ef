import Foundation

/// The standby as `status` shows it.
struct StandbyStatus {
    var state: String
    /// Milliseconds that the last preparation took.
    var prepareMs: Double?
    var since: String
    var message: String?

    var json: JSON {
        .record([
            "state": JSON(state), "prepare_ms": JSON(orNull: prepareMs), "since": JSON(since), "message": message.map(JSON.init),
        ])
    }
}

/// Keeps at most one VM prepared all the way and paused, so that a reset is a swap.
final class StandbyKeeper {
    /// A preparation that failed is tried again after this, and twice as long each time, up to a minute.
    private static let firstRetryMs = 1_000.0
    private static let lastRetryMs = 60_000.0
    /// The wall clock running ahead of the monotonic one by this much means that the host slept.
    private static let suspendJumpMs = 2_000.0
    private static let watchEveryMs = 1_000.0

    private final class Preparation {
        let result = Future<PreparedVM>()
        let isHurried: Protected<Bool>
        init(hurried: Bool) { isHurried = Protected(hurried) }
    }

    private enum Kind {
        case none
        case preparing(Preparation)
        case ready(PreparedVM)
        case failed

        var name: String {
            switch self {
            case .none: return "none"
            case .preparing: return "preparing"
            case .ready: return "ready"
            case .failed: return "failed"
            }
        }
    }

    private struct State {
        var kind = Kind.none
        var status = StandbyStatus(state: "none", prepareMs: nil, since: timestamp(), message: nil)
        var retryMs = StandbyKeeper.firstRetryMs
        var retryAt: Double?
        var clocks = StandbyKeeper.clocks()
        var isClosed = false
    }

    private let prepare: (_ isAhead: @escaping () -> Bool) throws -> PreparedVM
    /// May one be prepared while another VM lives?
    private let mayBeAhead: () -> Bool
    private let changed: (StandbyStatus) -> Void
    private let state = Protected(State())
    private var ticker: Ticker?

    init(
        prepare: @escaping (_ isAhead: @escaping () -> Bool) throws -> PreparedVM, mayBeAhead: @escaping () -> Bool,
        changed: @escaping (StandbyStatus) -> Void
    ) {
        self.prepare = prepare
        self.mayBeAhead = mayBeAhead
        self.changed = changed
        ticker = Ticker("bsm.standby", everyMs: StandbyKeeper.watchEveryMs) { [weak self] in self?.look() }
    }

    var status: StandbyStatus { state.with { $0.status } }

    /// Begins to prepare one, unless there is one, one is on its way, or none may live beside another VM.
    func prepareSoon() {
        guard mayBeAhead() else {
            become(.none, message: "VMs are restored one after the other here.", unless: { !isNone($0.kind) })
            return
        }
        begin(hurried: false)
    }

    /// A prepared VM, the one at hand or the next; it is the caller's from now on.
    func take() throws -> PreparedVM {
        look()
        while true {
            let ready = state.with { state -> PreparedVM? in
                guard case .ready(let prepared) = state.kind else { return nil }
                set(&state, .none)
                return prepared
            }
            if let ready = ready {
                changed(status)
                return ready
            }
            if let preparation = begin(hurried: true) { return try preparation.result.wait() }
            if state.with({ $0.isClosed }) { throw cancelledBoot }
            // It became ready between the two looks.
        }
    }

    /// Stops the standby; `reason` is shown.
    func discard(_ reason: String) {
        let old = state.with { state -> Kind in
            defer { set(&state, .none, message: reason) }
            return state.kind
        }
        changed(status)
        if case .ready(let prepared) = old { Worker.start("bsm.standby.end") { _ = try? prepared.vm.kill() } }
    }

    /// The helper's end has begun: no news of the standby from now on.
    func retire() { state.with { $0.isClosed = true } }

    func close() {
        ticker?.stop()
        let old = state.with { state -> Kind in
            state.isClosed = true
            defer { set(&state, .none) }
            return state.kind
        }
        switch old {
        case .ready(let prepared): _ = try? prepared.vm.kill()
        case .preparing(let preparation):
            // Its worker sees that nobody wants it any more.
            if let late = try? preparation.result.wait() { _ = try? late.vm.kill() }
        case .none, .failed: break
        }
    }

    /// The preparation under way, or a new one; nil when closed.
    @discardableResult
    private func begin(hurried: Bool) -> Preparation? {
        var isNew = false
        let preparation = state.with { state -> Preparation? in
            if state.isClosed { return nil }
            switch state.kind {
            case .preparing(let preparation):
                if hurried { preparation.isHurried.with { $0 = true } }
                return preparation
            case .ready: return nil
            case .none, .failed:
                isNew = true
                state.retryAt = nil
                let preparation = Preparation(hurried: hurried)
                set(&state, .preparing(preparation))
                return preparation
            }
        }
        if isNew, let preparation = preparation {
            changed(status)
            Worker.start("bsm.standby.prepare") { self.run(preparation) }
        }
        return preparation
    }

    private func run(_ preparation: Preparation) {
        let started = now()
        let outcome = Result { () -> PreparedVM in
            let prepared = try prepare { !preparation.isHurried.current }
            do {
                if !preparation.isHurried.current { try prepared.vm.pause() }
                return prepared
            } catch {
                _ = try? prepared.vm.kill()
                throw error
            }
        }
        let isWanted = state.with { state -> Bool in
            guard case .preparing(let current) = state.kind, current === preparation else { return false }
            switch outcome {
            case .success(let prepared):
                state.status.prepareMs = now() - started
                state.retryMs = StandbyKeeper.firstRetryMs
                set(&state, preparation.isHurried.current ? .none : .ready(prepared))
            case .failure(let error):
                set(&state, .failed, message: BsmError(error.asRestoreError).message)
                state.retryAt = now() + state.retryMs
                state.retryMs = min(2 * state.retryMs, StandbyKeeper.lastRetryMs)
            }
            return true
        }
        if isWanted {
            if case .success(let prepared) = outcome {
                prepared.vm.listen(GuestVM.Events(ended: { [weak self] _ in self?.died(prepared) }))
            }
            preparation.result.complete(outcome)
            changed(status)
        } else {
            // Discarded meanwhile. Whoever waits for it all the same may have it; a closed keeper stops it.
            if !preparation.isHurried.current, case .success(let prepared) = outcome { _ = try? prepared.vm.kill() }
            preparation.result.complete(outcome)
        }
    }

    private func died(_ prepared: PreparedVM) {
        let wasOurs = state.with { state -> Bool in
            guard !state.isClosed, case .ready(let current) = state.kind, current.vm === prepared.vm else { return false }
            set(&state, .none, message: "The standby ended by itself.")
            state.retryAt = now() + state.retryMs
            return true
        }
        if wasOurs { changed(status) }
    }

    /// Old age, a host that slept (its clock and randomness may not be trusted, §4), and a retry that is due.
    private func look() {
        enum Due { case nothing, retry, discard(String) }
        let due = state.with { state -> Due in
            let before = state.clocks
            state.clocks = StandbyKeeper.clocks()
            if state.isClosed { return .nothing }
            let slept = state.clocks.wall - before.wall - (state.clocks.monotonic - before.monotonic)
            switch state.kind {
            case .ready(let prepared):
                if slept > StandbyKeeper.suspendJumpMs { return .discard("The host slept: the standby was discarded.") }
                let isOld = now() - prepared.readyAt > Limits.standbyAgeMs
                return isOld ? .discard("The standby was older than 10 minutes.") : .nothing
            case .none, .failed:
                guard let at = state.retryAt, now() >= at else { return .nothing }
                state.retryAt = nil
                return .retry
            case .preparing: return .nothing
            }
        }
        switch due {
        case .nothing: break
        case .retry: prepareSoon()
        case .discard(let reason):
            discard(reason)
            prepareSoon()
        }
    }

    private func become(_ kind: Kind, message: String, unless: (State) -> Bool) {
        let isChanged = state.with { state -> Bool in
            if unless(state) || state.status.message == message { return false }
            set(&state, kind, message: message)
            return true
        }
        if isChanged { changed(status) }
    }

    private func set(_ state: inout State, _ kind: Kind, message: String? = nil) {
        state.kind = kind
        state.status.state = kind.name
        state.status.since = timestamp()
        state.status.message = message
    }

    private func isNone(_ kind: Kind) -> Bool {
        if case .none = kind { return true }
        return false
    }

    private static func clocks() -> (wall: Double, monotonic: Double) { (Date().timeIntervalSince1970 * 1000, now()) }
}

extension Error {
    /// The sentence of a refused restore; anything else as it is.
    var asRestoreError: Error { (self as? RestoreRefused)?.error ?? (self as? SaveRefused)?.error ?? self }
}
