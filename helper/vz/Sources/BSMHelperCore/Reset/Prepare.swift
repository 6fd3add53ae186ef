/// A VM made from its origin, in an epoch of its own, with every path exercised that a dispatch takes.
struct PreparedVM {
    let vm: GuestVM
    let origin: Origin
    let key: EpochKey
    let hello: Hello
    /// What it must show at the swap; nil when its Hello already showed something else.
    let nonce: String?
    let firstAck: ResumeAck
    /// Measured at the end of the preparation; the swap measures again.
    let openFdCount: Int
    let beat: HeartbeatAck
    let phases: [ResetPhase]
    let readyAt: Double

    /// The first VM of an origin sets what every later one is compared with (§4).
    func measureBaselines() {
        origin.baselines.with { baselines in
            if baselines == nil { baselines = Baselines(openFdCount: openFdCount, overlayBytes: beat.overlayBytes) }
        }
    }
}

/// Makes, dials, resumes and warms up VMs.
struct Preparer {
    private static let stepMs = 15_000.0

    let epochs: Epochs
    let registry: VMRegistry

    /// Throws, with the VM stopped, when a step fails. `isAhead` is asked at each phase's end: a standby may be
    /// overtaken by whoever waits for it.
    func prepare(_ origin: Origin, isAhead: () -> Bool, phase: (ResetPhase) -> Void = { _ in }) throws -> PreparedVM {
        var phases: [ResetPhase] = []
        var mark = now()
        func ended(_ name: PhaseName) {
            let done = ResetPhase(name: name, ms: now() - mark, isAhead: isAhead())
            phases.append(done)
            phase(done)
            mark = now()
        }
        let vm = try origin.makeVM(started: registry.add)
        do {
            ended(.load)
            let hello = try vm.greet(ms: Preparer.stepMs)
            ended(.reconnect)
            let key = try epochs.next()
            let firstAck = try vm.control.resume(key, ms: Preparer.stepMs)
            ended(.resume)
            try vm.control.warmup(ms: Preparer.stepMs)
            ended(.warmup)
            let openFdCount = try vm.queries.openFdCount(ms: Preparer.stepMs)
            let beat = try vm.control.heartbeat(ms: Preparer.stepMs)
            vm.ping()
            ended(.verify)
            let nonce = origin.expectedNonce(hello)
            return PreparedVM(
                vm: vm, origin: origin, key: key, hello: hello, nonce: nonce, firstAck: firstAck, openFdCount: openFdCount,
                beat: beat, phases: phases, readyAt: now())
        } catch {
            _ = try? vm.kill()
            throw (error as? GuestRefusal)?.error ?? error
        }
    }
}
