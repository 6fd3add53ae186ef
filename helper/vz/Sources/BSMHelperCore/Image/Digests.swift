import Foundation

/// `sha256:` and the hex digest.
func sha256(_ bytes: [UInt8]) -> String {
    let hash = SHA256Stream()
    hash.update(bytes)
    return "sha256:" + toHex(hash.finish())
}

/// SHA-256 of what a descriptor reads from its beginning, wherever its position is.
func sha256(descriptor fd: Int32) throws -> String {
    let hash = SHA256Stream()
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1024 * 1024, alignment: 16)
    defer { buffer.deallocate() }
    var position: off_t = 0
    while true {
        let count = pread(fd, buffer.baseAddress, buffer.count, position)
        if count < 0 {
            if errno == EINTR { continue }
            throw SystemError("read")
        }
        if count == 0 { return "sha256:" + toHex(hash.finish()) }
        hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        position += off_t(count)
    }
}

func sha256(file path: String) throws -> String {
    let fd = try Files.open(path, O_RDONLY | O_NOFOLLOW)
    defer { close(fd) }
    return try sha256(descriptor: fd)
}
