import Foundation

/// What `boot` was asked for, checked (§1).
struct BootConfig {
    let kernel: String
    let initrd: String?
    let rootfs: String
    /// Nil: no `manifest.json` beside the rootfs. The image is measured before its first boot.
    let image: ImageManifest?
    let cmdline: String
    let cpus: Int
    let memoryMib: Int
    let savedState: String?

    /// Checks everything before anything starts; throws `BOOT_CONFIG_INVALID` with one sentence.
    init(_ options: BootOptions, host: HostFacts) throws {
        cpus = try wholeNumber("--cpus", options.cpus)
        guard cpus >= 1 else { throw invalid("A VM needs at least 1 CPU.", "Give --cpus 1 or more.") }
        guard cpus <= host.maxCpus else {
            throw invalid("This host allows at most \(host.maxCpus) CPUs, not \(cpus).", "Give --cpus \(host.maxCpus) or less.")
        }
        memoryMib = try wholeNumber("--memory-mib", options.memoryMib)
        guard memoryMib >= Limits.minMemoryMib else {
            throw invalid("A VM needs at least \(Limits.minMemoryMib) MiB of memory, not \(memoryMib).",
                "Give --memory-mib \(Limits.minMemoryMib) or more.")
        }
        guard memoryMib <= host.availableMemoryMib else {
            throw invalid("There is not enough memory: \(memoryMib) MiB are wanted, \(host.availableMemoryMib) MiB are available.",
                "Close other programs or give a smaller --memory-mib.")
        }
        kernel = try required("kernel", options.kernel)
        rootfs = try required("rootfs", options.rootfs)
        initrd = options.initrd
        image = try ImageManifest.read(Files.join((rootfs as NSString).deletingLastPathComponent, "manifest.json"))
        try checkFile("kernel", kernel, image?.kernel, checkKernel)
        if let initrd = initrd { try checkFile("initrd", initrd, image?.initrd, checkNotEmpty("initrd", initrd)) }
        try checkFile("rootfs", rootfs, image?.rootfs, checkRootfs(rootfs))
        if let path = options.savedState {
            guard Files.isAbsolute(path) else {
                throw invalid("--saved-state is not an absolute path.", "Give the absolute path of a saved state.")
            }
            guard Files.status(at: path) != nil else {
                throw invalid("There is no saved state at \(path).", "Give the path that save-state wrote.")
            }
        }
        savedState = options.savedState
        cmdline = options.cmdline
    }
}

private func invalid(_ message: String, _ next: String, _ details: String? = nil) -> BsmError {
    BsmError(.bootConfigInvalid, .helper, message, next: next, details: details)
}

private func wholeNumber(_ option: String, _ text: String) throws -> Int {
    guard (1...9).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(text) else {
        throw invalid("\(option) \"\(text)\" is not a whole number.", "Give \(option) a whole number.")
    }
    return number
}

private func required(_ what: String, _ path: String?) throws -> String {
    guard let path = path else { throw invalid("No \(what) was given.", "Give --\(what) and its absolute path.") }
    return path
}

private func checkFile(
    _ what: String, _ path: String, _ expected: ImageManifest.File?, _ check: (Int32, stat) throws -> Void
) throws {
    guard Files.isAbsolute(path) else { throw invalid("The \(what) \"\(path)\" is not an absolute path.", "Give absolute paths.") }
    let fd: Int32
    do {
        // Not blocking: a FIFO in place of a file must not hold the boot for ever.
        fd = try Files.open(path, O_RDONLY | O_NONBLOCK)
    } catch let error as SystemError {
        switch error.code {
        case ENOENT: throw invalid("The \(what) \(path) does not exist.", "Build the guest image (npm run guest), or correct the path.")
        case EACCES, EPERM: throw invalid("The \(what) \(path) may not be read.", "Make it readable: chmod +r \(path)")
        default: throw invalid("The \(what) \(path) cannot be opened.", "Look at the file.", error.description)
        }
    }
    defer { close(fd) }
    let facts = try Files.status(fd)
    guard Files.isRegular(facts) else { throw invalid("The \(what) \(path) is not a regular file.", "Give a file as --\(what).") }
    // What it is comes first: of another kind says more than of another size.
    try check(fd, facts)
    if let expected = expected, facts.st_size < expected.size {
        throw invalid("The \(what) \(path) is truncated: it has \(facts.st_size) of the \(expected.size) bytes its manifest names.",
            "Build the guest image again (npm run guest).")
    }
}

/// `Documentation/arm64/booting.rst`: an Image has this magic number at byte 56.
private let arm64Magic = (at: 56, bytes: Array("ARM\u{64}".utf8))
private let headerBytes = 0x206

private func checkKernel(_ fd: Int32, _: stat) throws {
    var header = [UInt8](repeating: 0, count: headerBytes)
    let length = pread(fd, &header, header.count, 0)
    // A regular file may still refuse to be read: a bad sector, a server that is gone.
    guard length >= 0 else {
        throw invalid("The kernel cannot be read.", "Look at the file and at the disk it is on.", SystemError("read").description)
    }
    func starts(_ bytes: [UInt8], at: Int) -> Bool { Array(header[at..<(at + bytes.count)]) == bytes }
    let uncompressed = "Give an uncompressed ARM64 Image; linux-image-cloud-arm64 has one."
    guard length > 0 else { throw invalid("The kernel is empty.", uncompressed) }
    // An EFI zboot file is a PE like every Image with an EFI stub, so it is told apart first.
    if starts(Array("MZ".utf8), at: 0) && starts(Array("zimg".utf8), at: 4) {
        throw invalid("The kernel is a compressed EFI zboot image.", "Extract the Image from it, or give the uncompressed ARM64 Image.")
    }
    if starts(arm64Magic.bytes, at: arm64Magic.at) { return }
    if starts(Array("HdrS".utf8), at: 0x202) { throw invalid("The kernel is a bzImage, which is for x86.", uncompressed) }
    if starts([0x1f, 0x8b], at: 0) { throw invalid("The kernel is compressed with gzip.", "Uncompress it: gunzip < KERNEL > Image") }
    if starts([0x7f] + Array("ELF".utf8), at: 0) {
        throw invalid("The kernel is an ELF file (vmlinux).", "Give the Image made from it: objcopy -O binary vmlinux Image")
    }
    throw invalid("The kernel is not an ARM64 Image.", uncompressed)
}

private func checkNotEmpty(_ what: String, _ path: String) -> (Int32, stat) throws -> Void {
    { _, facts in
        guard facts.st_size > 0 else {
            throw invalid("The \(what) \(path) is empty.", "Build the guest image again (npm run guest).")
        }
    }
}

private let sectorBytes: off_t = 512

private func checkRootfs(_ path: String) -> (Int32, stat) throws -> Void {
    { fd, facts in
        try checkNotEmpty("rootfs", path)(fd, facts)
        guard facts.st_size % sectorBytes == 0 else {
            throw invalid("The rootfs \(path) has \(facts.st_size) bytes, which is not a multiple of \(sectorBytes).",
                "It was cut off: build the guest image again (npm run guest).")
        }
    }
}
