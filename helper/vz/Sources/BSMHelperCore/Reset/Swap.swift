/// How the old VM ended, read at the swap; nil when there was none any more.
typealias Discarding = (id: String, end: Future<MachineEnd>)

/// Puts the prepared VM in the place of the old one and proves it (§4).
struct Swap {
    /// What a source gets at least, however long the others took.
    private static let leastMs = 1_000.0

    let prepared: PreparedVM
    let discarding: Discarding?
    let disk: Disk
    /// SHA-256 of the rootfs by the image manifest, or as measured before the first boot.
    let fsHashBaseline: String
    let phase: (ResetPhase) -> Void

    /// Whatever was done ahead, the three sources and the wipe's own proof are read here, now. Never throws for what
    /// it finds: that is in the report.
    func run() -> (report: ResetReport, ack: ResumeAck?) {
        let phases = Protected(prepared.phases.filter { $0.name != .resume && $0.name != .verify })
        func ended(_ name: PhaseName, since start: Double) {
            let done = ResetPhase(name: name, ms: now() - start, isAhead: false)
            phases.with { $0.append(done) }
            phase(done)
        }
        let started = now()
        let disk = readDisk(self.disk)
        let resuming = Worker.run("bsm.swap.resume", resumeAgain)
        let old = discarding.map { listen($0.end) }
        if discarding != nil { ended(.discard, since: started) }
        let resumed = listen(resuming)
        ended(.resume, since: started)

        let verifying = now()
        // The 5 s run from the swap's beginning: a VM that is gone is not waited for twice.
        let left = max(Swap.leastMs, Limits.sourceSilenceMs - (verifying - started))
        let vm = prepared.vm
        let count = Worker.run("bsm.source.fd") { try vm.queries.openFdCount(ms: left) }
        let state = Worker.run("bsm.source.api") { try vm.machine.stateAsSource(ms: left) }
        let baselines = prepared.origin.baselines.current
        let judged = Judgement(
            Readings(fsHash: listen(disk), openFdCount: listen(count, ms: left), vmmApiState: listen(state, ms: left)),
            Expected(fsHash: fsHashBaseline, openFdCount: baselines?.openFdCount, vmmApiState: .running))
        let wipe = WipeVerdict(prepared, discarding?.id, old, resumed, baselines)
        ended(.verify, since: verifying)

        let disagreeing = (wipe.isDisagreeing ? [Source.wipe] : []) + judged.disagreeing
        let silent = (wipe.isSilent ? [Source.wipe] : []) + judged.silent
        var details = judged.details
        details.isHalted = !disagreeing.isEmpty
        let report = ResetReport(
            details: details, at: timestamp(), goldenHash: prepared.origin.hash, path: prepared.origin.path,
            phases: inOrder(phases.current), totalMs: 0, wipe: wipe.proof, failed: disagreeing + silent,
            error: verdict(disagreeing, silent))
        return (report, resumed.value)
    }

    /// Sets a paused standby going and takes its epoch's second ResumeAck: fresh entropy, the right time.
    private func resumeAgain() throws -> ResumeAck {
        let vm = prepared.vm
        if try vm.machine.apiState(ms: Limits.sourceSilenceMs) == .paused { try vm.machine.resume() }
        return try vm.control.resume(prepared.key, ms: Limits.sourceSilenceMs)
    }
}

/// The wipe itself, without which three healthy sources prove nothing (§4).
struct WipeVerdict {
    let proof: WipeProof
    let isDisagreeing: Bool
    let isSilent: Bool

    init(
        _ prepared: PreparedVM, _ oldId: String?, _ old: Reading<MachineEnd>?, _ resumed: Reading<ResumeAck>, _ baselines: Baselines?
    ) {
        let ack = resumed.value
        let isNonceMatching =
            prepared.nonce != nil && prepared.firstAck.ramNonce == prepared.nonce && ack?.ramNonce == prepared.nonce
        proof = WipeProof(
            old: oldId.flatMap { id in old?.value.map { (id, $0.description) } }, newId: prepared.vm.id, epoch: prepared.key.epoch,
            isNonceMatching: isNonceMatching, dispatches: ack?.dispatches, overlayBytes: ack?.overlayBytes)
        let holds =
            isNonceMatching && ack?.dispatches == 0 && ack?.overlayBytes == baselines?.overlayBytes && baselines != nil
            && (oldId == nil || proof.old != nil) && ack?.epoch == prepared.key.epoch
        if case .silent(let error) = resumed, !(error is GuestRefusal) { isSilent = true } else { isSilent = false }
        isDisagreeing = !holds && !isSilent
    }
}

/// Disagreement outweighs silence: the one is a lie, the other may be a hiccup (§4).
private func verdict(_ disagreeing: [Source], _ silent: [Source]) -> BsmError? {
    func list(_ sources: [Source]) -> String { sources.map(\.words).joined(separator: ", ") }
    if !disagreeing.isEmpty {
        return BsmError(.resetVerificationDivergence, .helper, "The reset diverged: \(list(disagreeing)) disagreed.",
            next: "Nothing runs any more until a person has looked at it and recovers the sandbox.")
    }
    if !silent.isEmpty {
        return BsmError(.resetVerificationTimeout, .helper, "The reset is unproven: \(list(silent)) stayed silent.",
            next: "It is tried once more with another VM.")
    }
    return nil
}

private func inOrder(_ phases: [ResetPhase]) -> [ResetPhase] {
    PhaseName.allCases.flatMap { name in phases.filter { $0.name == name } }
}
