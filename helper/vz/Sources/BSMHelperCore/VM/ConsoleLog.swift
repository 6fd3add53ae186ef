import Foundation

/// The guest's serial console: drained always, kept within bounds, shown to whoever listens.
///
/// Whether a full pipe stalls the guest is not known, so none ever fills.
final class ConsoleLog {
    /// Two files of this size at most: `console.log` and the one before it.
    private static let fileBytes = 512 * 1024
    private static let tailBytes = 4096

    private struct State {
        var tail: [UInt8] = []
        var listener: ((String) -> Void)?
    }

    private let pipe = Pipe()
    private let state = Protected(State())

    /// `path` nil keeps no file.
    init(path: String?, listener: ((String) -> Void)? = nil) {
        state.with { $0.listener = listener }
        let reading = dup(pipe.fileHandleForReading.fileDescriptor)
        _ = fcntl(reading, F_SETFD, FD_CLOEXEC)
        Worker.start("bsm.console") { [state] in
            defer { Foundation.close(reading) }
            var buffer = [UInt8](repeating: 0, count: 4096)
            while true {
                let count = read(reading, &buffer, buffer.count)
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else { return }
                ConsoleLog.took(Array(buffer[..<count]), state, path)
            }
        }
    }

    /// The end that the machine writes to.
    var writingEnd: FileHandle { pipe.fileHandleForWriting }

    var tail: String { state.with { String(decoding: $0.tail, as: UTF8.self) } }

    /// The reader ends with the last writer; ours is given up here.
    func close() {
        state.with { $0.listener = nil }
        try? pipe.fileHandleForWriting.close()
        try? pipe.fileHandleForReading.close()
    }

    private static func took(_ bytes: [UInt8], _ state: Protected<State>, _ path: String?) {
        let listener = state.with { state -> ((String) -> Void)? in
            state.tail = (state.tail + bytes).suffix(tailBytes)
            return state.listener
        }
        listener?(String(decoding: bytes, as: UTF8.self))
        if let path = path { try? keep(bytes, path) }
    }

    private static func keep(_ bytes: [UInt8], _ path: String) throws {
        try Files.makeDirectory((path as NSString).deletingLastPathComponent)
        let fd = try Files.open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW)
        defer { Foundation.close(fd) }
        if try Files.status(fd).st_size > fileBytes { try Files.move(path, to: "\(path).1") }
        try Files.write(fd, bytes)
    }
}
