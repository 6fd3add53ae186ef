import Foundation

/// The image itself: each VM is a boot of it, checked against the manifest before (§4).
final class ColdImage: Origin {
    /// Boots in seconds; emulated on a busy machine in some more. A minute means that it will not.
    private static let bootMs = 60_000.0

    let path = BootPath.coldBoot
    let hash: String
    let baselines = Protected<Baselines?>(nil)
    let image: PrivateImage
    private let plan: (_ machineIdentifier: String?) -> MachinePlan
    private let features: FrameworkFeatures
    private let consolePath: String
    private let console: (String) -> Void
    /// Every boot draws a nonce of its own: one that was seen before is no new boot.
    private let nonces = Protected(Set<String>())

    init(
        _ image: PrivateImage, parts: GoldenParts, features: FrameworkFeatures, consolePath: String,
        console: @escaping (String) -> Void, plan: @escaping (_ machineIdentifier: String?) -> MachinePlan
    ) {
        self.image = image
        self.plan = plan
        self.features = features
        self.consolePath = consolePath
        self.console = console
        hash = sha256(JSON.record(["schema": JSON("bsm-cold-vz/1")]).joined(parts.json).canonicalBytes)
    }

    func makeVM(started: (GuestVM) throws -> Void) throws -> GuestVM { try boot(started: started).vm }

    /// A VM up to its first Hello, which must be that of the image's manifest; its control port is open.
    func boot(started: (GuestVM) throws -> Void) throws -> (vm: GuestVM, hello: Hello) {
        _ = try image.measure()
        let machine = try Machine(
            plan(MachinePlan.newMachineIdentifier(features)), consolePath: consolePath, consoleListener: console)
        let vm = GuestVM(machine)
        do {
            try started(vm)
            try machine.start()
            return (vm, try greet(vm))
        } catch {
            let ended = machine.ended.outcome
            _ = try? vm.kill()
            throw bootFailure(error, ended: ended, console: machine.console.tail)
        }
    }

    func expectedNonce(_ hello: Hello) -> String? {
        let nonce = hello.ramNonce
        guard !nonce.isEmpty, nonces.with({ $0.insert(nonce).inserted }) else { return nil }
        return nonce
    }

    private func greet(_ vm: GuestVM) throws -> Hello {
        let hello = try vm.greet([.control], ms: ColdImage.bootMs)
        if let manifest = image.manifest { try checkHello(hello, manifest) }
        guard hello.isFrozen, !hello.ramNonce.isEmpty else {
            throw BsmError(.imageMismatch, .guest, "The guest was not born frozen with a nonce of its own.",
                next: "Build the guest image again (npm run guest).")
        }
        return hello
    }

    private func bootFailure(_ error: Error, ended: Result<MachineEnd, Error>?, console: String) -> Error {
        guard let error = error as? BsmError, error.code == .guestUnreachable else { return error }
        let next = "Look at the guest console in the log; the image may not be one of ours."
        if case .success(let end)? = ended {
            return BsmError(.vmLifecycleError, .hypervisor, "The VM ended while it booted (\(end.description)).", next: next, details: console)
        }
        return BsmError(.guestUnreachable, .guest, "The guest did not come up.", next: next, details: "\(error.message) \(console)")
    }
}

/// The guest's own account of itself must be the manifest's (§3).
func checkHello(_ hello: Hello, _ manifest: ImageManifest) throws {
    let differs: String
    if !hello.imageDigest.isSameBytes(as: manifest.imageDigest) {
        differs = "digest"
    } else if !hello.imageVersion.isSameBytes(as: manifest.imageVersion) {
        differs = "version"
    } else if JSON.array(hello.tools).canonicalBytes != JSON.array(manifest.tools).canonicalBytes {
        differs = "list of tools"
    } else {
        return
    }
    throw BsmError(.imageMismatch, .guest, "The guest's own \(differs) is not that of the image's manifest.",
        next: "Build the guest image again (npm run guest).")
}
