import Foundation

/// Everything of one helper that does not change after its start.
final class Surroundings {
    let config: BootConfig
    let facts: PlatformFacts
    let stateDirectory: String
    let run: RunDirectory
    let store: GoldenStore
    let epochs: Epochs
    let probe: StandbyProbe
    let registry = VMRegistry()
    let emit: Emit
    /// Asked anew each time: a screen is locked and unlocked.
    let isConsoleLocked: () -> Bool

    /// Tells of a phase that someone waited for; what was done ahead of anyone is no news.
    var tellPhase: (ResetPhase) -> Void {
        { [emit] phase in if !phase.isAhead { emit(.resetPhase(phase)) } }
    }

    init(
        config: BootConfig, facts: PlatformFacts, stateDirectory: String, epochFloors: String, authenticator: Authenticator,
        emit: @escaping Emit, isConsoleLocked: @escaping () -> Bool
    ) throws {
        self.config = config
        self.facts = facts
        self.stateDirectory = stateDirectory
        self.emit = emit
        self.isConsoleLocked = isConsoleLocked
        store = try GoldenStore(stateDirectory: stateDirectory, authenticator: authenticator)
        for leftover in try store.sweep() + RunDirectory.sweep(stateDirectory: stateDirectory) {
            emit(.log(source: "helper", level: "warn", "Removed \(leftover), which a helper that died left behind."))
        }
        epochs = try Epochs(stateDirectory: stateDirectory, floors: epochFloors, authenticator: authenticator)
        probe = StandbyProbe(stateDirectory: stateDirectory, authenticator: authenticator, facts: facts)
        run = try RunDirectory(stateDirectory: stateDirectory)
    }

    var preparer: Preparer { Preparer(epochs: epochs, registry: registry) }
    var consolePath: String { Files.join(Files.join(stateDirectory, "logs"), "console.log") }

    func plan(_ image: PrivateImage, _ machineIdentifier: String?) -> MachinePlan {
        MachinePlan(
            kernel: image.kernel, initrd: image.initrd, disk: image.disk.path, cmdline: config.cmdline, cpus: config.cpus,
            memoryMib: config.memoryMib, machineIdentifier: machineIdentifier, features: facts.framework)
    }

    func snapshot(_ manifest: GoldenManifest, _ stateFile: String, _ image: PrivateImage, _ baselines: Baselines?) -> GoldenSnapshot {
        GoldenSnapshot(
            manifest, stateFile: stateFile, plan: plan(image, manifest.machineIdentifier), consolePath: consolePath,
            baselines: baselines, isConsoleLocked: isConsoleLocked,
            renew: { [store, emit] golden in
                try store.renew(golden)
                let said = "The golden snapshot's private file was changed, and was cloned again from the one that is kept."
                emit(.log(source: "helper", level: "warn", said))
            })
    }

    func coldImage(_ image: PrivateImage, _ parts: GoldenParts) -> ColdImage {
        ColdImage(
            image, parts: parts, features: facts.framework, consolePath: consolePath,
            console: { [emit] in emit(.log(source: "console", level: "info", $0)) }, plan: { self.plan(image, $0) })
    }

    func warn(_ message: String) { emit(.log(source: "helper", level: "warn", message)) }
}

/// The first VM and everything it and all later ones are made from, verified.
struct Booted {
    let image: PrivateImage
    let cold: ColdImage
    let origin: Origin
    let first: PreparedVM
    /// SHA-256 of the rootfs: of the image manifest, or measured before the first boot.
    let fsHashBaseline: String
    let parts: GoldenParts
    /// Nil when a golden snapshot was there and good.
    let coldBootReason: String?
    /// To be written to disk.
    let fresh: GoldenSnapshot?
}
