import Foundation

/// Lines over Unix sockets, each with a deadline.

func withUnixAddress<R>(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
    var address = unixSocketAddress(path)
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
}

/// A connected, blocking descriptor. Throws a ``SystemError``.
func connectUnix(_ path: String, ms: Double) throws -> Int32 {
    let fd = try newUnixSocket()
    do {
        let flags = fcntl(fd, F_GETFL)
        _ = fcntl(fd, F_SETFL, flags | O_NONBLOCK)
        if withUnixAddress(path, { Foundation.connect(fd, $0, $1) }) != 0 {
            guard errno == EINPROGRESS else { throw SystemError("connect \(path)") }
            guard try writable(fd, ms: ms) else { throw SystemError("connect \(path)", code: ETIMEDOUT) }
            var code: Int32 = 0
            var size = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size)
            guard code == 0 else { throw SystemError("connect \(path)", code: code) }
        }
        _ = fcntl(fd, F_SETFL, flags)
        return fd
    } catch {
        close(fd)
        throw error
    }
}

/// The first line that comes within `ms`; nil at the end of the stream or after that time.
func readLine(_ descriptor: Int32, ms: Double) -> Line? {
    let end = now() + ms
    var lines = LineSplitter()
    var buffer = [UInt8](repeating: 0, count: 64 * 1024)
    while now() < end {
        guard (try? readable(descriptor, ms: end - now())) == true else { return nil }
        let count = read(descriptor, &buffer, buffer.count)
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else { return nil }
        if let line = lines.push(Array(buffer[..<count])).first { return line }
    }
    return nil
}

/// Gives up when the reader takes nothing for `ms`.
func writeLine(_ descriptor: Int32, _ message: JSON, ms: Double) {
    let line = message.bytes + [UInt8(ascii: "\n")]
    let end = now() + ms
    line.withUnsafeBytes { buffer in
        var written = 0
        while written < buffer.count {
            let count = send(descriptor, buffer.baseAddress! + written, buffer.count - written, Int32(MSG_DONTWAIT))
            if count >= 0 {
                written += count
            } else if errno == EAGAIN || errno == EWOULDBLOCK {
                guard (try? writable(descriptor, ms: end - now())) == true else { return }
            } else if errno != EINTR {
                return
            }
        }
    }
}
