/// Are these bytes UTF-8 as Unicode has it: no overlong form, no surrogate, nothing above U+10FFFF?
func isUTF8(_ bytes: [UInt8]) -> Bool {
    bytes.withUnsafeBytes(isUTF8)
}

private func isUTF8(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var at = 0
    while at < bytes.count {
        // Eight ASCII bytes at a time: nearly all that comes.
        if at + 8 <= bytes.count, bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self) & 0x8080_8080_8080_8080 == 0 {
            at += 8
            continue
        }
        let length = sequenceLength(bytes, at)
        if length == 0 { return false }
        at += length
    }
    return true
}

/// Bytes of the well-formed sequence at `at`, or 0 (Unicode 15, table 3-7).
private func sequenceLength(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> Int {
    let first = bytes[at]
    let length: Int
    var second: ClosedRange<UInt8> = 0x80...0xbf
    switch first {
    case 0x00...0x7f: return 1
    case 0xc2...0xdf: length = 2
    case 0xe0: (length, second) = (3, 0xa0...0xbf)
    case 0xed: (length, second) = (3, 0x80...0x9f)
    case 0xe1...0xef: length = 3
    case 0xf0: (length, second) = (4, 0x90...0xbf)
    case 0xf1...0xf3: length = 4
    case 0xf4: (length, second) = (4, 0x80...0x8f)
    default: return 0
    }
    guard at + length <= bytes.count, second.contains(bytes[at + 1]) else { return 0 }
    for next in (at + 2)..<max(at + 2, at + length) where bytes[next] & 0xc0 != 0x80 { return 0 }
    return length
}
