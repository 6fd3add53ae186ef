import Foundation

/// Files that another user could plant, follow or read are no state of ours: everything here is made anew (`O_EXCL`),
/// never through a symbolic link, for its owner alone, and on disk before it counts.
enum PrivateFiles {
    private static let others: mode_t = 0o077

    /// Makes `path` a real directory of ours, mode 0700. Throws `BOOT_CONFIG_INVALID` when it is another's or a link.
    static func requireDirectory(_ path: String) throws {
        try Files.makeDirectory(path)
        guard let facts = Files.status(at: path) else { throw SystemError("lstat \(path)") }
        guard facts.st_mode & S_IFMT == S_IFDIR, facts.st_uid == getuid() else {
            throw BsmError(.bootConfigInvalid, .helper, "\(path) is not a directory of this user.",
                next: "Give a directory of your own, not a symbolic link to one.")
        }
        if facts.st_mode & others != 0, chmod(path, 0o700) != 0 { throw SystemError("chmod \(path)") }
    }

    /// Why `path` is no real directory of ours, closed to others; nil when it is one, or is not there.
    static func whyNotPrivate(_ path: String) -> String? {
        guard let facts = Files.status(at: path) else { return nil }
        guard facts.st_mode & S_IFMT == S_IFDIR else { return "\(path) is no directory." }
        guard facts.st_uid == getuid() else { return "\(path) belongs to another user." }
        return facts.st_mode & others == 0 ? nil : "\(path) is open to others."
    }

    /// Why nothing may be said to, or bound at, a socket path; nil when its directory is ours alone and it is free or a
    /// socket of ours (§1). Below a shared `/tmp` another user may have been first.
    static func distrustOfSocket(_ path: String) -> String? {
        if let reason = whyNotPrivate((path as NSString).deletingLastPathComponent) { return reason }
        guard let facts = Files.status(at: path) else { return nil }
        guard facts.st_mode & S_IFMT == S_IFSOCK else { return "\(path) exists and is no socket." }
        return facts.st_uid == getuid() ? nil : "\(path) belongs to another user."
    }

    /// The bytes of a file of ours that no one else may touch; nil when there is none.
    static func read(_ path: String, limit: Int) throws -> [UInt8]? {
        guard let facts = Files.status(at: path) else {
            guard errno == ENOENT else { throw SystemError("lstat \(path)") }
            return nil
        }
        if let reason = whyNotOurs(facts) { throw notOurs(path, reason) }
        let fd: Int32
        do {
            fd = try Files.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        } catch let error as SystemError where error.code == ELOOP { throw notOurs(path, "is a symbolic link") }
        defer { close(fd) }
        // What was opened may be another file than the one that was looked at.
        if let reason = whyNotOurs(try Files.status(fd)) { throw notOurs(path, reason) }
        return try Files.read(fd, path, limit: limit)
    }

    private static func whyNotOurs(_ facts: stat) -> String? {
        if facts.st_mode & S_IFMT == S_IFLNK { return "is a symbolic link" }
        if !Files.isRegular(facts) { return "is no regular file" }
        if facts.st_uid != getuid() { return "belongs to another user" }
        return facts.st_mode & others == 0 ? nil : "is open to others"
    }

    private static func notOurs(_ path: String, _ why: String) -> BsmError {
        BsmError(.vmLifecycleError, .helper, "\(path) \(why).", next: "Find out who put it there, then move it away.")
    }
}
