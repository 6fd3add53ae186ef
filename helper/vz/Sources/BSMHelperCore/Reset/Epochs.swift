import Foundation

/// Epochs of one state directory: they only rise, and each is on disk before it is used (§3).
///
/// Who may write to the state directory may delete or put back its `epoch` file: so it is signed, and a floor of the
/// same form stands beside the key, below which no epoch goes.
final class Epochs {
    private static let maxBytes = 4096
    private static let schema = "bsm-epoch/1"

    private let authenticator: Authenticator
    private let path: String
    private let floorPath: String
    private let last: Protected<Int>

    /// Throws where a file or directory is not ours alone.
    init(stateDirectory: String, floors: String, authenticator: Authenticator) throws {
        try PrivateFiles.requireDirectory(stateDirectory)
        try PrivateFiles.requireDirectory(floors)
        self.authenticator = authenticator
        path = Files.join(stateDirectory, "epoch")
        // Named under the key: with a new key, old floors are not in the way.
        floorPath = Files.join(floors, authenticator.name(of: try Files.resolved(stateDirectory)))
        let known = try [path, floorPath].map { try Epochs.read($0, authenticator) }
        var last = known.compactMap { $0 }.max() ?? 0
        // A file of another key, or a damaged one, says nothing; where nothing else does either, beginning again at 1
        // could repeat an epoch. No counter that rises by one a reset has come as far as the clock's seconds.
        if last == 0, known.contains(nil) { last = Int(Date().timeIntervalSince1970) }
        self.last = Protected(last)
    }

    /// A new epoch with its token.
    func next() throws -> EpochKey {
        try last.with { last in
            let epoch = last + 1
            let signed = authenticator.sign(.record(["schema": JSON(Epochs.schema), "epoch": JSON(epoch)]))
            do {
                try Files.replace(floorPath, signed)
                try Files.replace(path, signed)
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

    /// Nil: there is a file, but not as this key signed it.
    private static func read(_ path: String, _ authenticator: Authenticator) throws -> Int? {
        guard let bytes = try PrivateFiles.read(path, limit: maxBytes) else { return 0 }
        guard let value = try? authenticator.open(bytes), var fields = try? Fields(value),
            (try? fields.string("schema")) == schema, let epoch = try? fields.int("epoch", Int.counts), (try? fields.end()) != nil
        else { return nil }
        return epoch
    }
}
