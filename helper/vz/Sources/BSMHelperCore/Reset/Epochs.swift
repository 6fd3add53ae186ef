import Foundation

/// Epochs of one state directory: they only rise, and each is on disk before it is used (§3).
final class Epochs {
    private let path: String
    private let last: Protected<Int>

    init(stateDirectory: String) throws {
        path = Files.join(stateDirectory, "epoch")
        last = Protected(try Epochs.readLast(path))
    }

    /// A new epoch with its token.
    func next() throws -> EpochKey {
        try last.with { last in
            let epoch = last + 1
            do {
                try Files.replace(path, Array("\(epoch)\n".utf8))
            } catch {
                throw BsmError(.vmLifecycleError, .helper, "The next epoch cannot be written to disk.",
                    next: (error as? SystemError)?.code == ENOSPC
                        ? "Free space on the disk that holds the state directory, then reset."
                        : "Look at the state directory and its permissions, then reset.",
                    details: String(describing: error))
            }
            last = epoch
            return EpochKey(epoch: epoch, token: toHex(randomBytes(32)))
        }
    }

    private static func readLast(_ path: String) throws -> Int {
        let bytes: [UInt8]
        do {
            bytes = try Files.read(path, limit: 64)
        } catch let error as SystemError where error.code == ENOENT {
            return 0
        }
        let text = String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        if let last = Int(text), Int.counts.contains(last) { return last }
        // Starting again at 1 could repeat an epoch: only a person can tell that none is in use.
        throw BsmError(.vmLifecycleError, .helper, "The epoch file \(path) is damaged.",
            next: "Move the state directory away and start again.")
    }
}
