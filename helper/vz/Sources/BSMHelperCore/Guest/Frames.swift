/// Frames: `u32be length ‖ UTF-8 JSON` (§3).
func encodeFrame(_ message: JSON) -> [UInt8] {
    let body = message.bytes
    return bigEndian(UInt32(body.count)) + body
}

/// Joins a byte stream into frames. Memory is taken for bytes that came, never for a length announced.
struct FrameParser {
    private let maxBytes: Int
    private var bytes: [UInt8] = []
    /// Everything before this was given out already.
    private var start = 0

    init(maxBytes: Int) { self.maxBytes = maxBytes }

    /// Bytes of an unfinished frame; not zero for 30 s without a byte is `FRAME_MALFORMED`.
    var held: Int { bytes.count - start }

    /// Frame bodies completed by `chunk`. Throws `FRAME_TOO_LARGE` or `FRAME_MALFORMED`.
    mutating func push(_ chunk: UnsafeRawBufferPointer) throws -> [[UInt8]] {
        bytes.append(contentsOf: chunk)
        var bodies: [[UInt8]] = []
        while let length = try nextLength(), held >= 4 + length {
            bodies.append(Array(bytes[(start + 4)..<(start + 4 + length)]))
            start += 4 + length
        }
        if start == bytes.count {
            bytes.removeAll(keepingCapacity: bytes.capacity <= Limits.evidenceChunkBytes * 2)
            start = 0
        } else if start > Limits.evidenceChunkBytes {
            bytes.removeFirst(start)
            start = 0
        }
        return bodies
    }

    mutating func push(_ chunk: [UInt8]) throws -> [[UInt8]] { try chunk.withUnsafeBytes { try push($0) } }

    private func nextLength() throws -> Int? {
        guard held >= 4 else { return nil }
        let length = bytes[start..<(start + 4)].reduce(0) { $0 << 8 | Int($1) }
        guard length > 0 else { throw BsmError(.frameMalformed, .guest, "A frame of no bytes came from the guest.", next: "Reset the VM.") }
        guard length <= maxBytes else {
            throw BsmError(.frameTooLarge, .guest, "A frame of \(length) bytes came; \(maxBytes) are allowed.", next: "Reset the VM.")
        }
        return length
    }
}

/// One frame body as a message. Throws `FRAME_MALFORMED`.
func parseFrame(_ body: [UInt8]) throws -> GuestMessage {
    do {
        return try GuestMessage(try JSON.parse(body))
    } catch {
        throw BsmError(.frameMalformed, .guest, "A frame is no message of any known form.", next: "Reset the VM.",
            details: String(describing: error))
    }
}
