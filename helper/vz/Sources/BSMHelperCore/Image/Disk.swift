import Foundation

/// The root disk: a private clone that every VM has open, hashed through a descriptor opened once (§4, source 1).
final class Disk {
    let path: String
    private let descriptor: Int32
    private let device: UInt64
    private let inode: UInt64

    init(_ path: String) throws {
        self.path = path
        descriptor = try Files.open(path, O_RDONLY | O_NOFOLLOW)
        let facts = try Files.status(descriptor)
        device = UInt64(truncatingIfNeeded: facts.st_dev)
        inode = UInt64(truncatingIfNeeded: facts.st_ino)
    }

    deinit { close(descriptor) }

    func hash() throws -> String { try sha256(descriptor: descriptor) }

    /// Does the path still name the file that the VM has open?
    var isStillNamed: Bool {
        guard let facts = Files.status(at: path) else { return false }
        return UInt64(truncatingIfNeeded: facts.st_dev) == device && UInt64(truncatingIfNeeded: facts.st_ino) == inode
    }
}
