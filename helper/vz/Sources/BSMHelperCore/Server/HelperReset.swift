import Foundation

/// Reset: the old VM goes, another comes, and both are proven (§4). Called with the helper's turn.
extension Helper {
    /// Never throws: a reset that failed is a report too.
    func reset() -> ResetReport {
        let started = now()
        let (running, degraded, phase) = state.with { ($0.running, $0.degraded, $0.phase) }
        if let degraded = degraded { return unreset(degradedError(degraded), running, started) }
        guard let running = running, phase != .stopping else { return unreset(noVM, running, started) }
        endExec()
        let old = retireLive()
        let report: ResetReport
        do {
            report = try swapTwice(running, old, started)
        } catch {
            let cause = BsmError(error.asRestoreError)
            let failure = BsmError(.resetFailed, cause.layer, "No new VM could be made: \(cause.message)",
                next: cause.nextStep ?? "Reset again.", details: cause.details ?? cause.code.rawValue)
            report = unreset(failure, running, started)
            state.with { $0.live = nil }
            _ = try? old?.vm.kill()
            fail(failure)
        }
        state.with { $0.lastReset = report }
        if let error = report.error {
            if error.code != .resetFailed { degrade(error) }
        } else {
            settle()
        }
        running.standby.prepareSoon()
        return report
    }

    /// A saved state is a golden snapshot: the one state in which the guest was frozen and never resumed. What a
    /// dispatch left behind in the live VM is never saved.
    func save(_ path: String) throws -> Int {
        guard let running = state.with({ $0.running }) else { throw noVM }
        guard Files.isAbsolute(path) else { throw badPath("out_path is not an absolute path.") }
        guard Files.status(at: path) == nil else { throw badPath("\(path) exists already.") }
        guard let golden = running.origin as? GoldenSnapshot else { throw noGolden }
        return try surroundings.store.write(golden, to: path)
    }

    func restore(_ path: String) throws {
        let (running, degraded) = state.with { ($0.running, $0.degraded) }
        if let degraded = degraded { throw degradedError(degraded) }
        guard let running = running else { throw noVM }
        guard Files.isAbsolute(path) else { throw badPath("from_path is not an absolute path.") }
        guard surroundings.facts.canSaveState else { throw noGolden }
        let golden = try surroundings.store.load(path, wanted: running.parts, into: surroundings.run) {
            self.surroundings.snapshot($0, $1, running.image, $2)
        }
        try adopt(running, golden)
    }

    /// Swaps to a VM made from another golden snapshot of the same parts.
    private func adopt(_ running: Running, _ golden: GoldenSnapshot) throws {
        endExec()
        let old = retireLive()
        running.standby.close()
        let next = Running(running, origin: golden, standby: newStandby(golden))
        state.with { $0.running = next }
        (running.origin as? GoldenSnapshot)?.close()
        let report: ResetReport
        do {
            report = try swapTwice(next, old, now())
        } catch {
            state.with { $0.live = nil }
            _ = try? old?.vm.kill()
            let failure = BsmError(error.asRestoreError)
            fail(failure)
            throw failure
        }
        state.with { $0.lastReset = report }
        if let error = report.error {
            degrade(error)
            throw error
        }
        settle()
        next.standby.prepareSoon()
    }

    // MARK: - Steps

    private func endExec() {
        guard let exec = state.with({ $0.exec }) else { return }
        exec.cancel()
        _ = try? exec.over.wait()
    }

    private func retireLive() -> LiveVM? {
        let live = state.with { state -> LiveVM? in
            if state.phase != .stopping { state.phase = .resetting }
            return state.live
        }
        live?.retire()
        return live
    }

    private func settle() {
        state.with { state in
            guard state.phase == .resetting else { return }
            // A new VM may have ended already, behind the proof.
            state.phase = state.live?.apiState == .running ? .ready : .failed
        }
    }

    /// A source that stayed silent gets one more chance, with another VM; a lie gets none (§4).
    private func swapTwice(_ running: Running, _ old: LiveVM?, _ started: Double) throws -> ResetReport {
        let first = try swapOnce(running, old, started)
        guard let error = first.error, error.code == .resetVerificationTimeout else { return first }
        surroundings.warn("\(error.message) Trying once more with another VM.")
        return try swapOnce(running, old, started)
    }

    private func swapOnce(_ running: Running, _ old: LiveVM?, _ started: Double) throws -> ResetReport {
        let isSequential = running.origin.path == .fastSnapshot && surroundings.probe.current == .sequential
        var discarding: Discarding?
        var discardPhase: ResetPhase?
        if isSequential, let old = old {
            let begun = now()
            discarding = discard(old)
            _ = discarding.map { listen($0.end) }
            discardPhase = ResetPhase(name: .discard, ms: now() - begun, isAhead: false)
        }
        let (prepared, replaced) = try takePrepared(running, old, &discarding)
        if !isSequential && discarding == nil { discarding = old.map(discard) }
        var (report, ack) = Swap(
            prepared: prepared, discarding: discarding, disk: running.image.disk, fsHashBaseline: running.fsHashBaseline,
            phase: surroundings.tellPhase).run()
        if let phase = discardPhase { report.phases = [phase] + report.phases.filter { $0.name != .discard } }
        report.totalMs = now() - started
        report.isBaselineMeasured = running.image.manifest == nil
        if report.isPassed {
            let live = liveFrom(prepared, clockStepMs: ack?.clockStepMs ?? prepared.firstAck.clockStepMs)
            state.with { $0.live = live }
            if let reason = replaced { surroundings.warn(reason) }
        } else {
            state.with { $0.live = nil }
            _ = try? prepared.vm.kill()
        }
        return report
    }

    private func discard(_ old: LiveVM) -> Discarding { (old.vm.id, Worker.run("bsm.discard") { try old.vm.kill() }) }

    /// The standby or the next VM; where a restore is refused, the policy of virtualization-framework.md §7.6: one more
    /// try, with the old VM gone, and then a boot from cold, for which the reason is given.
    private func takePrepared(_ running: Running, _ old: LiveVM?, _ discarding: inout Discarding?) throws -> (PreparedVM, String?) {
        do {
            return (try running.standby.take(), nil)
        } catch let first as RestoreRefused {
            let mayBeTooMany = discarding == nil && old != nil && surroundings.probe.current != .parallel
            if discarding == nil, let old = old {
                discarding = discard(old)
                _ = discarding.map { listen($0.end) }
            }
            if first.failure != .temporary {
                do {
                    let prepared = try surroundings.preparer.prepare(
                        running.origin, isAhead: { false }, phase: surroundings.tellPhase)
                    // Alone it was restored, beside another it was not: that is what the probe asks.
                    if mayBeTooMany { surroundings.probe.found(.sequential) }
                    return (prepared, nil)
                } catch is RestoreRefused {}
            }
            let reason = "\(first.error.message) The VM was booted from cold: \(first.error.details ?? "no details")"
            let prepared = try surroundings.preparer.prepare(
                running.cold, isAhead: { false }, phase: surroundings.tellPhase)
            prepared.measureBaselines()
            return (prepared, reason)
        }
    }

    /// The report of a reset that could not even be begun.
    private func unreset(_ error: BsmError, _ running: Running?, _ started: Double) -> ResetReport {
        var details = VerificationDetails(
            expected: Expected(
                fsHash: running?.fsHashBaseline, openFdCount: running?.origin.baselines.current?.openFdCount, vmmApiState: .running))
        details.isHalted = error.code == .degraded
        return ResetReport(
            details: details, at: timestamp(), goldenHash: running?.origin.hash, path: running?.origin.path ?? .coldBoot, phases: [],
            totalMs: now() - started, wipe: nil, failed: [], error: error)
    }
}

private func badPath(_ message: String) -> BsmError { BsmError(.badRequest, .agent, message, next: "Give another path.") }

private let noGolden = BsmError(
    .fastSnapshotUnavailable, .helper, "There is no golden snapshot here: this machine cannot save and restore VMs.",
    next: "Use macOS 14 or newer on Apple silicon.")
