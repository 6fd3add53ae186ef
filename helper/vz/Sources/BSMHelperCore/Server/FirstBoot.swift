/// Restores the golden snapshot of this image, or makes one by a cold boot and restores that; where nothing can be
/// saved, boots from cold and says why.
final class FirstBoot {
    private let surroundings: Surroundings
    private let phase: (String) -> Void
    private var coldBootReason = "There was no golden snapshot yet."

    init(_ surroundings: Surroundings, phase: @escaping (String) -> Void) {
        self.surroundings = surroundings
        self.phase = phase
    }

    func run() throws -> Booted {
        let image = try PrivateImage(surroundings.config, in: surroundings.run)
        phase("clone")
        guard surroundings.facts.canSaveState else {
            coldBootReason = "Fast snapshots need macOS 14 or newer on Apple silicon."
            return try bootCold(image, try image.measure())
        }
        if let path = surroundings.config.savedState { return try restore(path, image) }
        for name in try surroundings.store.list() {
            if let booted = try restoreKept(name, image) { return booted }
        }
        return try makeGolden(image)
    }

    // MARK: - Restore

    private func restore(_ path: String, _ image: PrivateImage) throws -> Booted {
        let digests = try image.digests()
        let parts = GoldenParts(digests, surroundings.config, surroundings.facts)
        let golden = try surroundings.store.load(path, wanted: parts, into: surroundings.run) {
            self.surroundings.snapshot($0, $1, image, $2)
        }
        phase("snapshot")
        do {
            return try booted(golden, image, digests, reason: nil, fresh: nil)
        } catch {
            golden.close()
            throw error
        }
    }

    /// Nil, with the reason noted, when another way must be gone (virtualization-framework.md §7.6).
    private func restoreKept(_ name: String, _ image: PrivateImage) throws -> Booted? {
        var serviceFailures = 0
        while true {
            do {
                return try restore(surroundings.store.path(name), image)
            } catch let refused as RestoreRefused {
                coldBootReason = "\(refused.error.message) \(refused.error.details ?? "")"
                surroundings.warn(coldBootReason)
                switch refused.failure {
                case .temporary: return nil  // the file is good: kept for when the screen is unlocked
                case .permanent:
                    try surroundings.store.setAside(name, incompatible: true)
                    return nil
                case .service:
                    serviceFailures += 1
                    if serviceFailures == 2 { return nil }
                }
            } catch let error as BsmError where error.code == .snapshotCorrupt || error.code == .snapshotIncompatible {
                // Only what is wrong with the snapshot itself is mended by another boot; the rest is the caller's.
                coldBootReason = "\(error.code.rawValue): \(error.message)"
                surroundings.warn(coldBootReason)
                try surroundings.store.setAside(name, incompatible: error.code == .snapshotIncompatible)
                return nil
            }
        }
    }

    // MARK: - Cold boot

    private func makeGolden(_ image: PrivateImage) throws -> Booted {
        let measured = try image.measure()
        phase("image")
        let parts = GoldenParts(measured, surroundings.config, surroundings.facts)
        let cold = surroundings.coldImage(image, parts)
        let maker = GoldenMaker(
            cold: cold, parts: parts, directory: surroundings.run, started: surroundings.registry.add, phase: phase,
            snapshot: { self.surroundings.snapshot($0, $1, image, nil) })
        do {
            let golden = try maker.make()
            return try booted(golden, image, measured, reason: coldBootReason, fresh: golden)
        } catch {
            guard let error = snapshotFailure(error), !surroundings.registry.isClosed else { throw error.asRestoreError }
            coldBootReason = "No golden snapshot could be made: \(error.message) \(error.details ?? "")"
            surroundings.warn(coldBootReason)
            return try bootCold(image, measured)
        }
    }

    /// The error, if it is one of saving or restoring alone: the image itself boots.
    private func snapshotFailure(_ error: Error) -> BsmError? {
        (error as? RestoreRefused)?.error ?? (error as? SaveRefused)?.error
    }

    private func bootCold(_ image: PrivateImage, _ measured: MeasuredImage) throws -> Booted {
        let parts = GoldenParts(measured, surroundings.config, surroundings.facts)
        return try booted(surroundings.coldImage(image, parts), image, measured, reason: coldBootReason, fresh: nil)
    }

    private func booted(_ origin: Origin, _ image: PrivateImage, _ digests: MeasuredImage, reason: String?, fresh: GoldenSnapshot?) throws -> Booted {
        let parts = GoldenParts(digests, surroundings.config, surroundings.facts)
        let first = try surroundings.preparer.prepare(origin, isAhead: { false })
        phase(origin.path == .coldBoot ? "boot" : "restore")
        return Booted(
            image: image, cold: (origin as? ColdImage) ?? surroundings.coldImage(image, parts), origin: origin, first: first,
            fsHashBaseline: digests.rootfs, parts: parts, coldBootReason: reason, fresh: fresh)
    }
}
