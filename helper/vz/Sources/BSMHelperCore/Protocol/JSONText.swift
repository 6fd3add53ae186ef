extension JSON {
    /// One line of UTF-8, members in their order.
    var bytes: [UInt8] {
        var out: [UInt8] = []
        write(to: &out, canonical: false)
        return out
    }

    /// RFC 8785: members sorted by UTF-16 code units, numbers as ECMAScript writes them.
    var canonicalBytes: [UInt8] {
        var out: [UInt8] = []
        write(to: &out, canonical: true)
        return out
    }

    private func write(to out: inout [UInt8], canonical: Bool) {
        switch self {
        case .null: out.append(contentsOf: "null".utf8)
        case .bool(let value): out.append(contentsOf: (value ? "true" : "false").utf8)
        case .number(let value): out.append(contentsOf: ecmaScriptNumber(value).utf8)
        case .string(let text): writeString(text, to: &out)
        case .array(let values):
            out.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                value.write(to: &out, canonical: canonical)
            }
            out.append(UInt8(ascii: "]"))
        case .object(let members):
            out.append(UInt8(ascii: "{"))
            for (index, member) in (canonical ? sorted(members) : members).enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                writeString(member.key, to: &out)
                out.append(UInt8(ascii: ":"))
                member.value.write(to: &out, canonical: canonical)
            }
            out.append(UInt8(ascii: "}"))
        }
    }
}

private func sorted(_ members: [JSON.Member]) -> [JSON.Member] {
    members.sorted { $0.key.utf16.lexicographicallyPrecedes($1.key.utf16) }
}

private let hexDigits = Array("0123456789abcdef".utf8)

private func writeString(_ text: String, to out: inout [UInt8]) {
    out.append(UInt8(ascii: "\""))
    var text = text
    text.withUTF8 { bytes in
        var start = 0
        for at in 0..<bytes.count {
            let byte = bytes[at]
            if byte >= 0x20 && byte != 0x22 && byte != 0x5c { continue }
            out.append(contentsOf: bytes[start..<at])
            start = at + 1
            writeEscape(of: byte, to: &out)
        }
        out.append(contentsOf: bytes[start...])
    }
    out.append(UInt8(ascii: "\""))
}

private func writeEscape(of byte: UInt8, to out: inout [UInt8]) {
    out.append(UInt8(ascii: "\\"))
    switch byte {
    case 0x22, 0x5c: out.append(byte)
    case 0x08: out.append(UInt8(ascii: "b"))
    case 0x09: out.append(UInt8(ascii: "t"))
    case 0x0a: out.append(UInt8(ascii: "n"))
    case 0x0c: out.append(UInt8(ascii: "f"))
    case 0x0d: out.append(UInt8(ascii: "r"))
    default: out.append(contentsOf: Array("u00".utf8) + [hexDigits[Int(byte >> 4)], hexDigits[Int(byte & 15)]])
    }
}

/// `Number::toString` of ECMAScript, which RFC 8785 takes over: the shortest digits that give the
/// number back, plain between 1e-7 and 1e21.
func ecmaScriptNumber(_ value: Double) -> String {
    if value == 0 { return "0" }
    if value < 0 { return "-" + ecmaScriptNumber(-value) }
    let (digits, point) = shortestDigits(value)
    let count = digits.count
    if point > 0 && point <= 21 {
        if count <= point { return digits + String(repeating: "0", count: point - count) }
        return digits.prefix(point) + "." + digits.dropFirst(point)
    }
    if point > -6 && point <= 0 { return "0." + String(repeating: "0", count: -point) + digits }
    let exponent = point - 1
    let mantissa = count == 1 ? digits : digits.prefix(1) + "." + digits.dropFirst()
    return mantissa + "e" + (exponent < 0 ? "-" : "+") + String(abs(exponent))
}

/// Digits without leading or trailing zeros, and where the decimal point stands before them:
/// value = 0.DIGITS × 10^point.
private func shortestDigits(_ value: Double) -> (digits: String, point: Int) {
    // Swift's own description has the shortest digits, in one of two layouts.
    let parts = value.description.split(separator: "e")
    let exponent = parts.count == 2 ? Int(parts[1]) ?? 0 : 0
    let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
    let whole = String(mantissa[0])
    let fraction = mantissa.count == 2 ? String(mantissa[1]) : ""
    let all = whole + fraction
    let leading = all.prefix { $0 == "0" }.count
    var digits = String(all.dropFirst(leading))
    while digits.hasSuffix("0") { digits.removeLast() }
    return (digits, whole.count - leading + exponent)
}
