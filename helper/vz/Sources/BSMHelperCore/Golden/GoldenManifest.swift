import Foundation

/// What a saved machine fits: another part, another snapshot (virtualization-framework.md §2.4, §2.5).
struct GoldenParts {
    static let helperVersion = "0.1.0"

    let kernel: String
    let initrd: String?
    let rootfs: String
    let cmdline: String
    let cpus: Int
    let memoryMib: Int
    let accelerator: String
    let devices: String
    let osBuild: String
    let hostId: String
    let uid: Int
    let helperVersion: String

    init(_ image: MeasuredImage, _ config: BootConfig, _ facts: PlatformFacts) {
        kernel = image.kernel
        initrd = image.initrd
        rootfs = image.rootfs
        cmdline = config.cmdline
        cpus = config.cpus
        memoryMib = config.memoryMib
        accelerator = facts.accelerator
        devices = MachinePlan.devices
        osBuild = facts.osBuild
        hostId = facts.hostId
        uid = Int(getuid())
        helperVersion = GoldenParts.helperVersion
    }

    init(_ fields: inout Fields) throws {
        kernel = try fields.digest("kernel")
        initrd = try fields.optionalString("initrd")
        rootfs = try fields.digest("rootfs")
        cmdline = try fields.string("cmdline")
        cpus = try fields.int("cpus", Int.counts)
        memoryMib = try fields.int("memory_mib", Int.counts)
        guard try fields.string("backend") == "vz" else { throw fields.error("backend", "not vz") }
        accelerator = try fields.string("accelerator")
        devices = try fields.string("devices")
        osBuild = try fields.string("os_build")
        hostId = try fields.string("host_id")
        uid = try fields.int("uid", Int.counts)
        helperVersion = try fields.string("helper_version")
    }

    var json: JSON {
        .record([
            "kernel": JSON(kernel), "initrd": initrd.map(JSON.init), "rootfs": JSON(rootfs), "cmdline": JSON(cmdline),
            "cpus": JSON(cpus), "memory_mib": JSON(memoryMib), "backend": JSON("vz"), "accelerator": JSON(accelerator),
            "devices": JSON(devices), "os_build": JSON(osBuild), "host_id": JSON(hostId), "uid": JSON(uid),
            "helper_version": JSON(helperVersion),
        ])
    }

    /// Names of the parts in which two differ.
    func differences(from other: GoldenParts) -> [String] {
        let names = ["kernel", "initrd", "rootfs", "cmdline", "cpus", "memory_mib", "accelerator", "devices", "os_build", "host_id", "uid", "helper_version"]
        return names.filter { json[$0]?.canonicalBytes != other.json[$0]?.canonicalBytes }
    }
}

/// The record of one golden snapshot; its digest is `golden_hash` (§4).
struct GoldenManifest {
    let parts: GoldenParts
    /// A restore under another identifier is refused.
    let machineIdentifier: String?
    /// RAM and device state: the framework writes both into one opaque file.
    let savedState: String
    /// 32 random bytes that the guest drew; a restored guest shows them until its first dispatch (§3).
    let nonce: String
    let imageDigest: String?
    let createdAt: String

    init(parts: GoldenParts, machineIdentifier: String?, savedState: String, nonce: String, imageDigest: String?, createdAt: String) {
        self.parts = parts
        self.machineIdentifier = machineIdentifier
        self.savedState = savedState
        self.nonce = nonce
        self.imageDigest = imageDigest
        self.createdAt = createdAt
    }

    init(_ value: JSON) throws {
        var fields = try Fields(value)
        guard try fields.string("schema") == "bsm-golden-vz/1" else { throw fields.error("schema", "not bsm-golden-vz/1") }
        parts = try GoldenParts(&fields)
        machineIdentifier = try fields.optionalString("machine_identifier")
        savedState = try fields.digest("saved_state")
        nonce = try fields.hex32("nonce")
        imageDigest = try fields.optionalString("image_digest")
        createdAt = try fields.string("created_at")
        try fields.end()
    }

    var json: JSON {
        JSON.record(["schema": JSON("bsm-golden-vz/1")]).joined(parts.json).joined(
            .record([
                "machine_identifier": machineIdentifier.map(JSON.init), "saved_state": JSON(savedState), "nonce": JSON(nonce),
                "image_digest": imageDigest.map(JSON.init), "created_at": JSON(createdAt),
            ]))
    }

    var hash: String { sha256(json.canonicalBytes) }
}

/// Measured on the first VM of an origin; every later one must show the same (§4).
struct Baselines {
    let openFdCount: Int
    let overlayBytes: Int
}
