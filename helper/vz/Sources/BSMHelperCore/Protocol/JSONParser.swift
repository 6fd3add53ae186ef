import Foundation

/// Why a text is no JSON of ours, in one sentence.
struct JSONError: Error, CustomStringConvertible {
    let description: String
}

extension JSON {
    /// Parses UTF-8. Refuses what two parsers could read in two ways: a repeated key, half of a
    /// surrogate pair, a number beyond double; and nesting beyond `maxDepth` before it costs anything.
    static func parse(_ bytes: [UInt8], maxDepth: Int = Limits.jsonDepth) throws -> JSON {
        guard isUTF8(bytes) else { throw JSONError(description: "the text is not UTF-8") }
        return try bytes.withUnsafeBufferPointer { buffer in
            var parser = JSONParser(bytes: buffer, maxDepth: maxDepth)
            return try parser.document()
        }
    }

    static func parse(_ text: String) throws -> JSON { try parse(Array(text.utf8)) }
}

private struct JSONParser {
    let bytes: UnsafeBufferPointer<UInt8>
    let maxDepth: Int
    var at = 0
    var depth = 0

    init(bytes: UnsafeBufferPointer<UInt8>, maxDepth: Int) {
        self.bytes = bytes
        self.maxDepth = maxDepth
    }

    mutating func document() throws -> JSON {
        let value = try value()
        skipSpace()
        guard at == bytes.count else { throw error("more follows the value") }
        return value
    }

    private mutating func value() throws -> JSON {
        skipSpace()
        guard at < bytes.count else { throw error("it ends too early") }
        switch bytes[at] {
        case UInt8(ascii: "{"): return try nested { try $0.object() }
        case UInt8(ascii: "["): return try nested { try $0.array() }
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    private mutating func nested(_ body: (inout JSONParser) throws -> JSON) throws -> JSON {
        depth += 1
        guard depth <= maxDepth else { throw JSONError(description: "JSON is nested deeper than \(maxDepth) levels") }
        at += 1
        let value = try body(&self)
        depth -= 1
        return value
    }

    private mutating func object() throws -> JSON {
        var members: [JSON.Member] = []
        // Sets of bytes, not of strings: see JSON.
        var keys = Set<[UInt8]>()
        skipSpace()
        if take("}") { return .object([]) }
        repeat {
            skipSpace()
            let key = try string()
            guard keys.insert(Array(key.utf8)).inserted else { throw error("the key \"\(key.prefix(64))\" is repeated") }
            skipSpace()
            guard take(":") else { throw error("a colon is missing") }
            members.append(JSON.Member(key: key, value: try value()))
            skipSpace()
        } while take(",")
        guard take("}") else { throw error("an object is not closed") }
        return .object(members)
    }

    private mutating func array() throws -> JSON {
        var values: [JSON] = []
        skipSpace()
        if take("]") { return .array([]) }
        repeat {
            values.append(try value())
            skipSpace()
        } while take(",")
        guard take("]") else { throw error("an array is not closed") }
        return .array(values)
    }

    private mutating func string() throws -> String {
        guard take("\"") else { throw error("a string is missing") }
        let start = at
        let end = try plainEnd()
        if bytes[end] == UInt8(ascii: "\"") {
            at = end + 1
            return String(decoding: bytes[start..<end], as: UTF8.self)
        }
        return try escaped(from: start)
    }

    /// Where the closing quote, or the first backslash, stands.
    private func plainEnd() throws -> Int {
        var end = at
        while end < bytes.count {
            let byte = bytes[end]
            if byte == 0x22 || byte == 0x5c { return end }
            guard byte >= 0x20 else { throw error("a control character stands in a string") }
            end += 1
        }
        throw error("a string is not closed")
    }

    private mutating func escaped(from start: Int) throws -> String {
        var text: [UInt8] = []
        at = start
        while true {
            let end = try plainEnd()
            text.append(contentsOf: bytes[at..<end])
            at = end + 1
            if bytes[end] == UInt8(ascii: "\"") { return String(decoding: text, as: UTF8.self) }
            text.append(contentsOf: Array(String(try escape()).utf8))
        }
    }

    private mutating func escape() throws -> Unicode.Scalar {
        guard at < bytes.count else { throw error("a string is not closed") }
        let byte = bytes[at]
        at += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return try codePoint()
        default: throw error("an escape is unknown")
        }
    }

    private mutating func codePoint() throws -> Unicode.Scalar {
        let first = try hex4()
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard first < 0xdc00, take("\\"), take("u") else { throw error("half a surrogate pair stands alone") }
        let second = try hex4()
        guard (0xdc00..<0xe000).contains(second),
            let scalar = Unicode.Scalar(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
        else { throw error("half a surrogate pair stands alone") }
        return scalar
    }

    private mutating func hex4() throws -> UInt32 {
        guard at + 4 <= bytes.count else { throw error("an escape is cut off") }
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = hexDigit(bytes[at]) else { throw error("an escape is not hexadecimal") }
            value = value << 4 | UInt32(digit)
            at += 1
        }
        return value
    }

    private mutating func number() throws -> JSON {
        let start = at
        _ = take("-")
        if !take("0") { try digits() }
        if take(".") { try digits() }
        if take("e") || take("E") {
            if !take("+") { _ = take("-") }
            try digits()
        }
        let text = String(decoding: bytes[start..<at], as: UTF8.self)
        guard let value = Double(text), value.isFinite else { throw error("a number is too large") }
        return .number(value)
    }

    private mutating func digits() throws {
        let start = at
        while at < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[at]) { at += 1 }
        if at == start { throw error("a value is missing") }
    }

    private mutating func word(_ word: String, _ value: JSON) throws -> JSON {
        for byte in word.utf8 {
            guard at < bytes.count, bytes[at] == byte else { throw error("a value is missing") }
            at += 1
        }
        return value
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard at < bytes.count, bytes[at] == UInt8(ascii: character) else { return false }
        at += 1
        return true
    }

    private mutating func skipSpace() {
        while at < bytes.count {
            switch bytes[at] {
            case 0x20, 0x09, 0x0a, 0x0d: at += 1
            default: return
            }
        }
    }

    private func error(_ message: String) -> JSONError { JSONError(description: "\(message), at byte \(at)") }
}

func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): return byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): return byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): return byte - UInt8(ascii: "A") + 10
    default: return nil
    }
}
