import Foundation

/// A complete line, or the news that one was too long and is being thrown away.
enum Line {
    case line([UInt8])
    case tooLong
}

/// Splits a byte stream into lines without ever holding more than `maxBytes` of one (§2).
///
/// An overlong line is reported once, where the limit is passed, and the rest of it is skipped.
struct LineSplitter {
    private let maxBytes: Int
    private var held: [UInt8] = []
    private var isSkipping = false

    init(maxBytes: Int = Limits.ndjsonLineBytes) { self.maxBytes = maxBytes }

    mutating func push(_ chunk: UnsafeRawBufferPointer) -> [Line] {
        var lines: [Line] = []
        var start = 0
        while start < chunk.count {
            let newline = indexOfNewline(chunk, from: start)
            take(UnsafeRawBufferPointer(rebasing: chunk[start..<(newline ?? chunk.count)]), &lines)
            guard let newline = newline else { break }
            finish(&lines)
            start = newline + 1
        }
        return lines
    }

    mutating func push(_ bytes: [UInt8]) -> [Line] { bytes.withUnsafeBytes { push($0) } }

    private mutating func take(_ part: UnsafeRawBufferPointer, _ lines: inout [Line]) {
        if isSkipping || part.isEmpty { return }
        guard held.count + part.count <= maxBytes else {
            held = []
            isSkipping = true
            lines.append(.tooLong)
            return
        }
        held.append(contentsOf: part)
    }

    private mutating func finish(_ lines: inout [Line]) {
        defer {
            held = []
            isSkipping = false
        }
        if isSkipping { return }
        if held.last == UInt8(ascii: "\r") { held.removeLast() }
        if held.contains(where: { ![0x20, 0x09, 0x0d].contains($0) }) { lines.append(.line(held)) }
    }
}


private func indexOfNewline(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
    guard let base = bytes.baseAddress, let found = memchr(base + start, 0x0a, bytes.count - start) else { return nil }
    return UnsafeRawPointer(found) - base
}
