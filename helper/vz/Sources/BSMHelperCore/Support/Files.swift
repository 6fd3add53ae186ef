import Foundation

/// A call of the operating system that failed.
struct SystemError: Error, CustomStringConvertible {
    let code: Int32
    let what: String

    init(_ what: String, code: Int32 = errno) {
        self.code = code
        self.what = what
    }

    var description: String { "\(what): \(String(cString: strerror(code)))" }
}

/// Small things with files that throw instead of returning -1.
enum Files {
    static func open(_ path: String, _ flags: Int32, mode: mode_t = 0o600) throws -> Int32 {
        let fd = Foundation.open(path, flags | O_CLOEXEC, mode)
        guard fd >= 0 else { throw SystemError("open \(path)") }
        return fd
    }

    static func status(_ fd: Int32) throws -> stat {
        var facts = stat()
        guard fstat(fd, &facts) == 0 else { throw SystemError("fstat") }
        return facts
    }

    /// Of what the path names itself, a link included.
    static func status(at path: String) -> stat? {
        var facts = stat()
        return lstat(path, &facts) == 0 ? facts : nil
    }

    static func isRegular(_ facts: stat) -> Bool { facts.st_mode & S_IFMT == S_IFREG }

    /// All parents too; a directory that is there is left as it is.
    static func makeDirectory(_ path: String) throws {
        if mkdir(path, 0o700) == 0 { return }
        switch errno {
        case EEXIST:
            var facts = stat()
            guard stat(path, &facts) == 0, facts.st_mode & S_IFMT == S_IFDIR else { throw SystemError("mkdir \(path)", code: ENOTDIR) }
        case ENOENT:
            let parent = (path as NSString).deletingLastPathComponent
            guard !parent.isEmpty, parent != path else { throw SystemError("mkdir \(path)", code: ENOENT) }
            try makeDirectory(parent)
            guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw SystemError("mkdir \(path)") }
        default: throw SystemError("mkdir \(path)")
        }
    }

    /// At most `limit` bytes of a regular file, not through a link.
    static func read(_ path: String, limit: Int) throws -> [UInt8] {
        let fd = try open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        defer { close(fd) }
        return try read(fd, path, limit: limit)
    }

    /// The same of an open one, read from where it stands.
    static func read(_ fd: Int32, _ path: String, limit: Int) throws -> [UInt8] {
        let facts = try status(fd)
        guard isRegular(facts) else { throw SystemError("\(path) is not a regular file", code: EINVAL) }
        guard facts.st_size <= limit else { throw SystemError("\(path) is too long", code: EFBIG) }
        var bytes = [UInt8](repeating: 0, count: limit + 1)
        var length = 0
        while length < bytes.count {
            let count = bytes.withUnsafeMutableBytes { Foundation.read(fd, $0.baseAddress! + length, $0.count - length) }
            if count == 0 { break }
            guard count > 0 else { throw SystemError("read \(path)") }
            length += count
        }
        guard length <= limit else { throw SystemError("\(path) is too long", code: EFBIG) }
        return Array(bytes[..<length])
    }

    static func write(_ fd: Int32, _ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { buffer in
            var written = 0
            while written < buffer.count {
                let count = Foundation.write(fd, buffer.baseAddress! + written, buffer.count - written)
                if count < 0 {
                    if errno == EINTR { continue }
                    if errno == EAGAIN {
                        // Someone else made the descriptor non-blocking: pipes are shared with whoever gave them.
                        var waiting = pollfd(fd: fd, events: Int16(POLLOUT), revents: 0)
                        poll(&waiting, 1, -1)
                        continue
                    }
                    throw SystemError("write")
                }
                written += count
            }
        }
    }

    /// A new 0600 file, on the medium before this returns.
    static func create(_ path: String, _ bytes: [UInt8]) throws {
        let fd = try open(path, O_WRONLY | O_CREAT | O_EXCL)
        defer { close(fd) }
        try write(fd, bytes)
        guard fsync(fd) == 0 else { throw SystemError("fsync \(path)") }
    }

    /// Whole or not at all, also over a power cut.
    static func replace(_ path: String, _ bytes: [UInt8]) throws {
        let temporary = "\(path).new"
        unlink(temporary)
        do {
            try create(temporary, bytes)
            try move(temporary, to: path)
        } catch {
            unlink(temporary)
            throw error
        }
        try sync((path as NSString).deletingLastPathComponent)
    }

    /// A name is on the medium with its directory.
    private static func sync(_ directory: String) throws {
        let fd = try open(directory, O_RDONLY | O_DIRECTORY)
        defer { close(fd) }
        guard fsync(fd) == 0 else { throw SystemError("fsync \(directory)") }
    }

    static func move(_ from: String, to path: String) throws {
        guard rename(from, path) == 0 else { throw SystemError("rename \(path)") }
    }

    /// Everything below too; what is not there is no failure.
    static func remove(_ path: String) { try? FileManager.default.removeItem(atPath: path) }

    /// Seconds since 1970 of the last change; 0 when it is not there.
    static func changed(_ path: String) -> Double {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return (attributes?[.modificationDate] as? Date)?.timeIntervalSince1970 ?? 0
    }

    static func names(in directory: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory)
    }

    /// The path with every link on it followed.
    static func resolved(_ path: String) throws -> String {
        guard let real = realpath(path, nil) else { throw SystemError("realpath \(path)") }
        defer { free(real) }
        return String(cString: real)
    }

    static func join(_ directory: String, _ name: String) -> String { (directory as NSString).appendingPathComponent(name) }

    static func isAbsolute(_ path: String) -> Bool { path.hasPrefix("/") }
}

/// `count` bytes that nobody can foresee.
func randomBytes(_ count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    return (0..<count).map { _ in generator.next() }
}

func newUUID() -> String { UUID().uuidString.lowercased() }
