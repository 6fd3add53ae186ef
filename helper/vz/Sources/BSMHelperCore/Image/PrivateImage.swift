import Foundation

/// Digests of the bytes that VMs are made of.
struct MeasuredImage {
    let kernel: String
    let initrd: String?
    let rootfs: String
}

/// The image's files as private clones: what is hashed is what boots, whatever happens to the originals.
final class PrivateImage {
    let kernel: String
    let initrd: String?
    let disk: Disk
    let manifest: ImageManifest?

    init(_ config: BootConfig, in directory: RunDirectory) throws {
        manifest = config.image
        kernel = try directory.clone(config.kernel, as: "Image")
        initrd = try config.initrd.map { try directory.clone($0, as: "initrd.img") }
        disk = try Disk(try directory.clone(config.rootfs, as: "rootfs.img"))
    }

    /// Hashes all of it; throws `IMAGE_MISMATCH` unless every file is the one that the manifest names (§4).
    func measure() throws -> MeasuredImage {
        let measured = MeasuredImage(
            kernel: try sha256(file: kernel), initrd: try initrd.map { try sha256(file: $0) }, rootfs: try disk.hash())
        if let manifest = manifest {
            try check("kernel", measured.kernel, manifest.kernel)
            try check("initrd", measured.initrd, manifest.initrd)
            try check("rootfs", measured.rootfs, manifest.rootfs)
        }
        return measured
    }

    /// Digests to look a snapshot up by. Kernel and initrd of an image with a manifest are the manifest's: their
    /// bytes are checked before every cold boot and run in no other. The disk is used in every boot and measured.
    func digests() throws -> MeasuredImage {
        guard let manifest = manifest else { return try measure() }
        let rootfs = try disk.hash()
        try check("rootfs", rootfs, manifest.rootfs)
        return MeasuredImage(
            kernel: manifest.kernel.digest, initrd: initrd == nil ? nil : manifest.initrd.digest, rootfs: rootfs)
    }

    private func check(_ part: String, _ measured: String?, _ expected: ImageManifest.File) throws {
        guard measured != expected.digest else { return }
        throw BsmError(.imageMismatch, .helper,
            measured == nil
                ? "The image's manifest names an \(part), and none was given."
                : "The \(part) is not the one that the image's manifest names.",
            next: "Build the guest image again (npm run guest), or give the files of one image.")
    }
}
