import Foundation

/// Boots the image once and saves it frozen. The golden VM never accepted a `Resume`, is stopped after the save,
/// and is never continued (§4).
struct GoldenMaker {
    let cold: ColdImage
    let parts: GoldenParts
    let directory: RunDirectory
    let started: (GuestVM) throws -> Void
    let phase: (String) -> Void
    /// A snapshot of this manifest and file.
    let snapshot: (GoldenManifest, String) -> GoldenSnapshot

    func make() throws -> GoldenSnapshot {
        let (vm, hello) = try cold.boot(started: started)
        phase("kernel")
        do {
            vm.hangUp()
            try vm.machine.pause()
            let stateFile = try save(vm.machine)
            // The disk is a private clone that the VM has read-only: it is the same before and after, and the manifest
            // names it by digest. There is nothing of it to clone while the VM is paused.
            _ = try vm.kill()
            phase("save")
            let manifest = GoldenManifest(
                parts: parts, machineIdentifier: vm.machine.plan.machineIdentifier, savedState: try sha256(file: stateFile),
                nonce: hello.ramNonce, imageDigest: cold.image.manifest?.imageDigest, createdAt: timestamp())
            phase("digest")
            return snapshot(manifest, stateFile)
        } catch {
            _ = try? vm.kill()
            throw error
        }
    }

    /// To a temporary name first: a file of the final name is whole.
    private func save(_ machine: Machine) throws -> String {
        let path = directory.newPath("golden")
        let temporary = "\(path).tmp"
        try machine.save(to: temporary)
        guard chmod(temporary, 0o600) == 0 else { throw SystemError("chmod \(temporary)") }
        try Files.move(temporary, to: path)
        return path
    }
}
