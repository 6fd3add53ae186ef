import Foundation

/// Golden snapshots on disk: `golden/<hash>/{manifest.json, state, baselines.json}`.
final class GoldenStore {
    private static let manifestBytes = 64 * 1024
    /// Snapshots that were set aside are kept for a look, the latest two.
    private static let setAsideKept = 2
    private static let making = ".making-"

    private let directory: String
    private let authenticator: Authenticator
    private let isCancelled = Protected(false)

    init(stateDirectory: String, authenticator: Authenticator) throws {
        directory = Files.join(stateDirectory, "golden")
        self.authenticator = authenticator
        try Files.makeDirectory(directory)
    }

    /// Removes what a helper that died left half made. Only for whoever owns the state directory.
    func sweep() throws -> [String] {
        let leftovers = try Files.names(in: directory).filter { $0.hasPrefix(GoldenStore.making) }
        for name in leftovers { Files.remove(path(name)) }
        return leftovers
    }

    /// Names of the snapshots there are, newest first.
    func list() throws -> [String] {
        try Files.names(in: directory).filter(isHex32)
            .map { (name: $0, at: Files.changed(path($0))) }
            .sorted { $0.at > $1.at }.map(\.name)
    }

    func path(_ name: String) -> String { Files.join(directory, name) }

    /// What is half written is given up.
    func cancelWriting() { isCancelled.with { $0 = true } }

    /// The snapshot in `source`, cloned privately and verified whole. Throws `SNAPSHOT_CORRUPT` or `SNAPSHOT_INCOMPATIBLE`.
    func load(
        _ source: String, wanted: GoldenParts, into run: RunDirectory, snapshot: (GoldenManifest, String, Baselines?) -> GoldenSnapshot
    ) throws -> GoldenSnapshot {
        let manifest: GoldenManifest
        let stateFile = run.newPath("golden")
        do {
            let bytes = try Files.read(Files.join(source, "manifest.json"), limit: GoldenStore.manifestBytes)
            manifest = try GoldenManifest(try authenticator.open(bytes))
            try checkIsFile(Files.join(source, "state"))
        } catch {
            throw corrupt(source, "it cannot be read or is not authentic", error)
        }
        let differing = wanted.differences(from: manifest.parts)
        guard differing.isEmpty else {
            throw BsmError(.snapshotIncompatible, .helper,
                "The snapshot \(source) was made of other parts (\(differing.joined(separator: ", "))).",
                next: "A new one is made by a cold boot.")
        }
        try clonePrivately(Files.join(source, "state"), to: stateFile)
        let golden = snapshot(manifest, stateFile, readBaselines(source, manifest.hash))
        do { try golden.verify() } catch {
            golden.close()
            throw corrupt(source, "its bytes are not those that its manifest names", nil)
        }
        return golden
    }

    /// Clones a kept snapshot once more, for a private file that was changed. Throws `SNAPSHOT_CORRUPT` when the kept one is not it either.
    func renew(_ golden: GoldenSnapshot) throws {
        let kept = Files.join(path(name(of: golden)), "state")
        let temporary = "\(golden.stateFile)-\(toHex(randomBytes(4)))"
        do {
            try checkIsFile(kept)
            try clonePrivately(kept, to: temporary)
            try Files.move(temporary, to: golden.stateFile)
        } catch {
            unlink(temporary)  // nothing was kept, or nothing can be written: the verdict on what is there says enough
        }
        try golden.verify()
    }

    /// Puts a snapshot out of the way under a name that says why.
    func setAside(_ name: String, incompatible: Bool) throws {
        let time = Int(Date().timeIntervalSince1970 * 1000)
        try Files.move(path(name), to: path("\(name).\(incompatible ? "incompatible" : "corrupt")-\(time)"))
        let aside = try Files.names(in: directory).filter { $0.contains(".corrupt-") || $0.contains(".incompatible-") }
            .sorted { setAsideTime($0) > setAsideTime($1) }
        for old in aside.dropFirst(GoldenStore.setAsideKept) { Files.remove(path(old)) }
    }

    /// Writes a golden snapshot under its hash.
    func keep(_ golden: GoldenSnapshot) throws {
        let target = path(name(of: golden))
        if Files.status(at: target) == nil { _ = try write(golden, to: target) }
    }

    /// Writes a snapshot as the directory `target`, whole or not at all; it must not exist. Returns the bytes on disk.
    func write(_ golden: GoldenSnapshot, to target: String) throws -> Int {
        let parent = (target as NSString).deletingLastPathComponent
        let short = (target as NSString).lastPathComponent.prefix(16)
        let half = Files.join(parent, "\(GoldenStore.making)\(short)-\(toHex(randomBytes(4)))")
        do {
            guard mkdir(half, 0o700) == 0 else { throw SystemError("mkdir \(half)") }
            try clonePrivately(golden.stateFile, to: Files.join(half, "state"), isCancelled: { self.isCancelled.current })
            try syncToDisk(Files.join(half, "state"))
            try Files.create(Files.join(half, "manifest.json"), authenticator.sign(golden.manifest.json))
            if let baselines = golden.baselines.current {
                try Files.create(Files.join(half, "baselines.json"), authenticator.sign(json(baselines, golden.hash)))
            }
            if isCancelled.current { throw cancelledBoot }
            let bytes = ["state", "manifest.json"].compactMap { Files.status(at: Files.join(half, $0)) }
                .reduce(0) { $0 + min(Int($1.st_blocks) * 512, Int($1.st_size)) }
            guard Files.status(at: target) == nil else { throw SystemError("rename \(target)", code: EEXIST) }
            try Files.move(half, to: target)
            return bytes
        } catch {
            Files.remove(half)
            throw writeFailure(target, error)
        }
    }

    private func name(of golden: GoldenSnapshot) -> String { String(golden.hash.dropFirst("sha256:".count)) }

    private func checkIsFile(_ path: String) throws {
        guard let facts = Files.status(at: path), Files.isRegular(facts) else { throw SystemError("\(path) is not a file", code: EINVAL) }
    }

    private func syncToDisk(_ path: String) throws {
        let fd = try Files.open(path, O_RDONLY)
        defer { close(fd) }
        guard fsync(fd) == 0 else { throw SystemError("fsync \(path)") }
    }

    private func json(_ baselines: Baselines, _ hash: String) -> JSON {
        .record(["golden_hash": JSON(hash), "open_fd_count": JSON(baselines.openFdCount), "overlay_bytes": JSON(baselines.overlayBytes)])
    }

    /// Nil when they cannot be believed: they are measured again, on the first VM that is restored.
    private func readBaselines(_ source: String, _ hash: String) -> Baselines? {
        guard let bytes = try? Files.read(Files.join(source, "baselines.json"), limit: GoldenStore.manifestBytes),
            let value = try? authenticator.open(bytes), var fields = try? Fields(value),
            (try? fields.string("golden_hash")) == hash, let count = try? fields.int("open_fd_count", Int.counts),
            let overlay = try? fields.int("overlay_bytes", Int.counts)
        else { return nil }
        return Baselines(openFdCount: count, overlayBytes: overlay)
    }
}

private func setAsideTime(_ name: String) -> Int { name.split(separator: "-").last.flatMap { Int($0) } ?? 0 }

private func corrupt(_ source: String, _ why: String, _ cause: Error?) -> BsmError {
    BsmError(.snapshotCorrupt, .helper, "The snapshot \(source) is corrupt: \(why).",
        next: "It is set aside and a new one is made by a cold boot.", details: cause.map { String(describing: $0) })
}

private func writeFailure(_ target: String, _ cause: Error) -> BsmError {
    if let error = cause as? BsmError { return error }
    let isFull = (cause as? SystemError)?.code == ENOSPC
    return BsmError(.vmLifecycleError, .helper,
        isFull ? "The disk is full: \(target) could not be written." : "The snapshot \(target) could not be written.",
        next: isFull ? "Free space on that disk." : "Look at the directory and its permissions.", details: String(describing: cause))
}
