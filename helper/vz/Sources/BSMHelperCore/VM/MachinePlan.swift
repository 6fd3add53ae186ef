/// Everything a machine is made of. A saved state fits only the plan it was saved under.
struct MachinePlan {
    let kernel: String
    let initrd: String?
    let disk: String
    let cmdline: String
    let cpus: Int
    let memoryMib: Int
    /// `VZGenericMachineIdentifier.dataRepresentation`, base64; nil before macOS 13.
    let machineIdentifier: String?
    let features: FrameworkFeatures

    /// The device set as the golden manifest records it: it must be the same at a restore.
    static let devices = "blk(ro,cached,fsync) console(serial) entropy vsock platform(generic)"
}
