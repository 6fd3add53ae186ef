import Foundation

/// A golden snapshot in a private 0600 file, hashed before each restore (§4).
final class GoldenSnapshot: Origin {
    let path = BootPath.fastSnapshot
    let manifest: GoldenManifest
    let hash: String
    let baselines: Protected<Baselines?>
    let stateFile: String
    private let plan: MachinePlan
    private let consolePath: String
    private let isConsoleLocked: () -> Bool
    /// Puts what is kept of it in the place of a private file that is not it any more.
    private let renew: (GoldenSnapshot) throws -> Void

    init(
        _ manifest: GoldenManifest, stateFile: String, plan: MachinePlan, consolePath: String, baselines: Baselines?,
        isConsoleLocked: @escaping () -> Bool, renew: @escaping (GoldenSnapshot) throws -> Void
    ) {
        self.manifest = manifest
        hash = manifest.hash
        self.stateFile = stateFile
        self.plan = plan
        self.consolePath = consolePath
        self.baselines = Protected(baselines)
        self.isConsoleLocked = isConsoleLocked
        self.renew = renew
    }

    var bytes: Int { Files.status(at: stateFile).map { Int($0.st_blocks) * 512 } ?? 0 }

    /// Throws `SNAPSHOT_CORRUPT` unless the file is, byte for byte, what the manifest names.
    func verify() throws {
        guard (try? sha256(file: stateFile)) == manifest.savedState else {
            throw BsmError(.snapshotCorrupt, .helper, "The golden snapshot's bytes are not those that its manifest names.",
                next: "It is set aside and a new one is made by a cold boot.")
        }
    }

    func makeVM(started: (GuestVM) throws -> Void) throws -> GuestVM {
        do { try verify() } catch { try renew(self) }
        let machine = try Machine(plan, consolePath: consolePath)
        let vm = GuestVM(machine)
        do {
            try started(vm)
            try machine.restore(from: stateFile, consoleLocked: isConsoleLocked)
            try machine.resume()
            return vm
        } catch {
            _ = try? vm.kill()
            throw error
        }
    }

    func expectedNonce(_ hello: Hello) -> String? { hello.ramNonce == manifest.nonce ? manifest.nonce : nil }

    /// Its private file is given up.
    func close() { unlink(stateFile) }
}
