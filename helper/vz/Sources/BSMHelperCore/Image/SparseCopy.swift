import Foundation

/// Copies a file byte by byte into a new 0600 one; pieces of zeros become holes.
func copySparsely(_ source: String, to target: String, isCancelled: () -> Bool = { false }) throws {
    let from = try Files.open(source, O_RDONLY | O_NOFOLLOW)
    defer { close(from) }
    let to = try Files.open(target, O_WRONLY | O_CREAT | O_EXCL)
    defer { close(to) }
    do {
        try copySparsely(from, to, isCancelled: isCancelled)
    } catch {
        unlink(target)
        throw error
    }
}

private func copySparsely(_ from: Int32, _ to: Int32, isCancelled: () -> Bool) throws {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 * 1024, alignment: 16)
    defer { buffer.deallocate() }
    var position: off_t = 0
    while true {
        if isCancelled() { throw BsmError(.cancelled, .helper, "The copy was given up.") }
        let count = pread(from, buffer.baseAddress, buffer.count, position)
        if count < 0 {
            if errno == EINTR { continue }
            throw SystemError("read")
        }
        if count == 0 { break }
        let piece = UnsafeRawBufferPointer(rebasing: buffer[..<count])
        if !isZero(piece) { try writeAll(to, piece, at: position) }
        position += off_t(count)
    }
    guard ftruncate(to, position) == 0 else { throw SystemError("ftruncate") }
}

private func isZero(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let base = bytes.baseAddress, bytes.count > 1 else { return false }
    // Equal to itself moved by one byte, and the first is zero: all are.
    return bytes[0] == 0 && memcmp(base, base + 1, bytes.count - 1) == 0
}

private func writeAll(_ fd: Int32, _ bytes: UnsafeRawBufferPointer, at position: off_t) throws {
    var written = 0
    while written < bytes.count {
        let count = pwrite(fd, bytes.baseAddress! + written, bytes.count - written, position + off_t(written))
        if count < 0 {
            if errno == EINTR { continue }
            throw SystemError("write")
        }
        written += count
    }
}
