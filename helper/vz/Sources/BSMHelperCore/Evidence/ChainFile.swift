import Foundation

/// Keeps one dispatch's chain as `evidence/<command_id>.ndjson`, one EvidenceChunk a line, 0600 (§3).
final class ChainFile {
    private struct Writing {
        var failure: Error?
        var isClosed = false
    }

    let path: String
    private let descriptor: Int32
    private let writing = Protected(Writing())

    /// Throws `BAD_REQUEST` for a command id that has a chain already: ids are never used twice.
    init(stateDirectory: String, commandId: String) throws {
        let directory = Files.join(stateDirectory, "evidence")
        path = Files.join(directory, "\(commandId.lowercased()).ndjson")
        do {
            try Files.makeDirectory(directory)
            descriptor = try Files.open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW)
        } catch let error as SystemError where error.code == EEXIST {
            throw BsmError(.badRequest, .agent, "The command id \(commandId) was used before.",
                next: "Use a fresh UUID for every command.")
        } catch {
            let isFull = (error as? SystemError)?.code == ENOSPC
            throw BsmError(.vmLifecycleError, .helper, "The evidence of a dispatch cannot be kept.",
                next: isFull
                    ? "Free space on the disk that holds the state directory."
                    : "Look at the state directory and its permissions.",
                details: String(describing: error))
        }
    }

    func append(_ chunk: EvidenceChunk) {
        let line = chunk.json.bytes + [UInt8(ascii: "\n")]
        writing.with { writing in
            guard writing.failure == nil, !writing.isClosed else { return }
            do { try Files.write(descriptor, line) } catch { writing.failure = error }
        }
    }

    /// Why the chain is incomplete on disk, or nil.
    func finish() -> Error? {
        writing.with { writing in
            if !writing.isClosed {
                writing.isClosed = true
                close(descriptor)
            }
            return writing.failure
        }
    }
}
