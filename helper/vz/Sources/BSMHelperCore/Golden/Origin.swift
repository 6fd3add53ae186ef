/// What VMs are made from: a golden snapshot, or the image itself where nothing can be saved.
protocol Origin: AnyObject {
    var path: BootPath { get }
    /// `golden_hash`: the digest of everything that goes into a VM.
    var hash: String { get }
    var baselines: Protected<Baselines?> { get }

    /// A VM that runs and has not been dialled. `started` hears of it before it can run.
    func makeVM(started: (GuestVM) throws -> Void) throws -> GuestVM

    /// The nonce that a VM with this Hello must show from now on; nil when it shows what it must not.
    func expectedNonce(_ hello: Hello) -> String?
}
