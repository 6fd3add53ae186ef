import Foundation

/// The claim of one helper on one state directory: epochs and golden snapshots have one writer.
final class StateDirectoryOwner {
    private static let maxBytes = 4096

    private let path: String

    /// Throws `VM_LIFECYCLE_ERROR` while another helper lives there.
    init(_ stateDirectory: String) throws {
        try PrivateFiles.requireDirectory(stateDirectory)
        path = Files.join(stateDirectory, "helper.json")
        let own = JSON.record(["pid": JSON(Int(getpid())), "start_time": JSON(startOfProcess(getpid()) ?? "0")]).bytes + [UInt8(ascii: "\n")]
        do {
            try Files.create(path, own)
        } catch let error as SystemError where error.code == EEXIST {
            if let pid = livingOwner {
                throw BsmError(.vmLifecycleError, .helper, "Another helper (process \(pid)) uses this state directory.",
                    next: "Stop it, or give another --state-dir.")
            }
            unlink(path)
            try Files.create(path, own)
        }
    }

    func release() { unlink(path) }

    private var livingOwner: Int32? {
        guard let bytes = try? Files.read(path, limit: StateDirectoryOwner.maxBytes), let value = try? JSON.parse(bytes),
            var fields = try? Fields(value), let pid = try? fields.int("pid", 1...Int(Int32.max)),
            let start = try? fields.string("start_time"), startOfProcess(Int32(pid)) == start
        else { return nil }
        return Int32(pid)
    }
}
