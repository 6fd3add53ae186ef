/// A stream as a result shows it: whole, or head and tail around a marker (§3).
struct CappedOutput {
    let text: String
    /// `utf-8`, or `base64` for bytes that are no text.
    let encoding: String
    let isTruncated: Bool
    /// Before any cut.
    let bytes: Int

    init(_ bytes: [UInt8]) {
        isTruncated = bytes.count > Limits.outputBytes
        let kept = isTruncated ? headAndTail(bytes) : bytes
        let isText = isUTF8(kept)
        text = isText ? String(decoding: kept, as: UTF8.self) : toBase64(kept)
        encoding = isText ? "utf-8" : "base64"
        self.bytes = bytes.count
    }
}

private func headAndTail(_ bytes: [UInt8]) -> [UInt8] {
    let half = Limits.outputBytes / 2
    let head = droppingIncompleteEnd(Array(bytes.prefix(half)))
    let tail = droppingContinuationStart(Array(bytes.suffix(half)))
    let cut = bytes.count - head.count - tail.count
    return head + Array("\n[... \(cut) bytes cut ...]\n".utf8) + tail
}

private func isContinuation(_ byte: UInt8) -> Bool { byte & 0xc0 == 0x80 }

private func droppingContinuationStart(_ bytes: [UInt8]) -> [UInt8] {
    Array(bytes.dropFirst(bytes.prefix(3).prefix(while: isContinuation).count))
}

private func droppingIncompleteEnd(_ bytes: [UInt8]) -> [UInt8] {
    for back in 1...3 where back <= bytes.count {
        let byte = bytes[bytes.count - back]
        if isContinuation(byte) { continue }
        let needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
        return needs > back ? Array(bytes.dropLast(back)) : bytes
    }
    return bytes
}
