/// A message that has not the form of one: where, and what is wrong.
struct FormError: Error, CustomStringConvertible {
    let description: String
}

/// Reads an object member by member; what was not asked for is refused by ``end()`` (§3: strict).
struct Fields {
    private var rest: [JSON.Member]
    private let path: String

    init(_ value: JSON, at path: String = "") throws {
        guard let members = value.members else {
            throw FormError(description: path.isEmpty ? "it is not an object" : "\(path): not an object")
        }
        self.path = path
        rest = members
    }

    func end() throws {
        if let extra = rest.first { throw error(extra.key, "an unknown field") }
    }

    mutating func value(_ key: String) throws -> JSON {
        guard let value = optional(key) else { throw error(key, "missing") }
        return value
    }

    mutating func optional(_ key: String) -> JSON? {
        guard let index = rest.firstIndex(where: { $0.key.isSameBytes(as: key) }) else { return nil }
        return rest.remove(at: index).value
    }

    mutating func string(_ key: String) throws -> String { try Fields.string(try value(key), at: at(key)) }

    mutating func string(_ key: String, length: ClosedRange<Int>) throws -> String {
        let text = try string(key)
        // UTF-16, as every other implementation of the contract counts.
        guard length.contains(text.utf16.count) else { throw error(key, "too short or too long") }
        return text
    }

    mutating func optionalString(_ key: String) throws -> String? {
        try optional(key).map { try Fields.string($0, at: at(key)) }
    }

    mutating func bool(_ key: String) throws -> Bool {
        guard case .bool(let value) = try value(key) else { throw error(key, "neither true nor false") }
        return value
    }

    mutating func number(_ key: String) throws -> Double {
        guard case .number(let value) = try value(key) else { throw error(key, "not a number") }
        return value
    }

    mutating func int(_ key: String, _ range: ClosedRange<Int> = Int.safe) throws -> Int {
        guard case .number(let number) = try value(key), let value = Int(exactly: number), range.contains(value)
        else { throw error(key, "not a whole number within its bounds") }
        return value
    }

    mutating func optionalInt(_ key: String) throws -> Int? {
        guard has(key) else { return nil }
        return try int(key)
    }

    mutating func uuid(_ key: String) throws -> String {
        let text = try string(key)
        guard isUUID(text) else { throw error(key, "not a UUID") }
        return text
    }

    mutating func digest(_ key: String) throws -> String {
        let text = try string(key)
        guard isDigest(text) else { throw error(key, "a digest is \"sha256:\" and 64 hex digits") }
        return text
    }

    /// 64 lower-case hex digits.
    mutating func hex32(_ key: String, orEmpty: Bool = false) throws -> String {
        let text = try string(key)
        guard isHex32(text) || (orEmpty && text.isEmpty) else { throw error(key, "not 32 bytes in hex") }
        return text
    }

    mutating func base64(_ key: String) throws -> [UInt8] {
        guard let bytes = fromBase64(try string(key)) else { throw error(key, "not base64") }
        return bytes
    }

    mutating func array(_ key: String, max: Int = Int.max) throws -> [JSON] {
        try Fields.array(try value(key), at: at(key), max: max)
    }

    mutating func optionalArray(_ key: String, max: Int = Int.max) throws -> [JSON]? {
        try optional(key).map { try Fields.array($0, at: at(key), max: max) }
    }

    mutating func object(_ key: String) throws -> JSON {
        let value = try value(key)
        guard value.members != nil else { throw error(key, "not an object") }
        return value
    }

    mutating func fields(_ key: String) throws -> Fields { try Fields(try value(key), at: at(key)) }

    mutating func oneOf<T: RawRepresentable>(_ key: String, _: T.Type = T.self) throws -> T where T.RawValue == String {
        guard let value = T(rawValue: try string(key)) else { throw error(key, "not one of the known values") }
        return value
    }

    func has(_ key: String) -> Bool { rest.contains { $0.key.isSameBytes(as: key) } }

    func at(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    func error(_ key: String, _ what: String) -> FormError { FormError(description: "\(at(key)): \(what)") }

    static func string(_ value: JSON, at path: String) throws -> String {
        guard let text = value.text else { throw FormError(description: "\(path): not a string") }
        return text
    }

    static func array(_ value: JSON, at path: String, max: Int) throws -> [JSON] {
        guard case .array(let values) = value, values.count <= max else {
            throw FormError(description: "\(path): not a list, or too long a one")
        }
        return values
    }
}

extension Int {
    /// Whole numbers that a double holds exactly.
    static let safe = -9_007_199_254_740_991...9_007_199_254_740_991
    static let counts = 0...9_007_199_254_740_991
}

func isHex32(_ text: String) -> Bool {
    text.utf8.count == 64 && text.utf8.allSatisfy { hexDigit($0) != nil && !(0x41...0x46).contains($0) }
}

func isDigest(_ text: String) -> Bool {
    text.hasPrefix("sha256:") && isHex32(String(text.dropFirst("sha256:".count)))
}

/// RFC 9562: version 1 to 8 and the variant of that document, or the nil or max UUID; any case.
func isUUID(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    guard bytes.count == 36 else { return false }
    for (index, byte) in bytes.enumerated() {
        if [8, 13, 18, 23].contains(index) {
            guard byte == UInt8(ascii: "-") else { return false }
        } else if hexDigit(byte) == nil {
            return false
        }
    }
    let digits = bytes.compactMap(hexDigit)
    if digits.allSatisfy({ $0 == 0 }) || digits.allSatisfy({ $0 == 15 }) { return true }
    return (1...8).contains(digits[12]) && (8...11).contains(digits[16])
}
