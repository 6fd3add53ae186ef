/// A JSON value that keeps what the wire said: members in their order, keys byte for byte.
///
/// Not a dictionary: Swift takes two strings of one canonical form for equal, JSON does not.
indirect enum JSON {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSON])
    case object([Member])

    struct Member {
        let key: String
        let value: JSON
    }

    init(_ value: String) { self = .string(value) }
    init(_ value: Int) { self = .number(Double(value)) }
    init(_ value: Double) { self = .number(value) }
    init(_ value: Bool) { self = .bool(value) }
    init(_ value: [String]) { self = .array(value.map(JSON.string)) }

    /// Null stands for nil: a field that is there and has nothing to say.
    init(orNull value: String?) { self = value.map(JSON.string) ?? .null }
    init(orNull value: Int?) { self = value.map(JSON.init) ?? .null }
    init(orNull value: Double?) { self = value.map(JSON.number) ?? .null }
    init(orNull value: Bool?) { self = value.map(JSON.bool) ?? .null }

    /// An object without the members whose value is nil.
    static func record(_ members: KeyValuePairs<String, JSON?>) -> JSON {
        .object(members.compactMap { key, value in value.map { Member(key: key, value: $0) } })
    }

    var members: [Member]? {
        if case .object(let members) = self { return members }
        return nil
    }

    var text: String? {
        if case .string(let text) = self { return text }
        return nil
    }

    /// The first member of that key.
    subscript(key: String) -> JSON? { members?.first { $0.key.isSameBytes(as: key) }?.value }

    /// This object with the members of another behind its own.
    func joined(_ other: JSON) -> JSON { .object((members ?? []) + (other.members ?? [])) }
}

extension String {
    /// Equality of the wire. `==` would take composed and decomposed characters for the same.
    func isSameBytes(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}
