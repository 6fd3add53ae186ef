import Foundation

/// Authenticates what lies in the state directory, with a key that lies elsewhere (§4).
struct Authenticator {
    private static let keyBytes = 32
    private static let maxKeyFileBytes = 4096

    private let key: [UInt8]

    init(key: [UInt8]) { self.key = key }

    init(keyPath: String) throws {
        do {
            try PrivateFiles.requireDirectory((keyPath as NSString).deletingLastPathComponent)
            try Files.create(keyPath, Array((toHex(randomBytes(Authenticator.keyBytes)) + "\n").utf8))
        } catch let error as SystemError where error.code == EEXIST {
            // Made by an earlier helper, or by another just now.
        } catch let error as BsmError {
            throw error
        } catch {
            throw BsmError(.vmLifecycleError, .helper, "The key \(keyPath) cannot be made.",
                next: "Look at the configuration directory and its permissions.", details: String(describing: error))
        }
        let bytes = try PrivateFiles.read(keyPath, limit: Authenticator.maxKeyFileBytes) ?? []
        let text = String(decoding: bytes, as: UTF8.self)
        guard let key = fromHex(text.trimmingCharacters(in: .whitespacesAndNewlines)), key.count == Authenticator.keyBytes else {
            throw BsmError(.vmLifecycleError, .helper, "The key \(keyPath) is damaged.",
                next: "Move it away: a new one is made, and golden snapshots are made again.")
        }
        self.key = key
    }

    /// The text of a file that holds `value` and its HMAC.
    func sign(_ value: JSON) -> [UInt8] {
        JSON.record(["value": value, "hmac": JSON(toHex(code(value)))]).bytes + [UInt8(ascii: "\n")]
    }

    /// The value of such a file; throws when the HMAC is not ours.
    func open(_ bytes: [UInt8]) throws -> JSON {
        var envelope = try Fields(try JSON.parse(bytes))
        let value = try envelope.value("value")
        let said = fromHex(try envelope.hex32("hmac")) ?? []
        try envelope.end()
        guard isEqualInConstantTime(said, code(value)) else { throw FormError(description: "its authentication code does not match") }
        return value
    }

    /// A file name for `text` that only the holder of the key can tell.
    func name(of text: String) -> String { String(toHex(code(.record(["name": JSON(text)]))).prefix(32)) }

    private func code(_ value: JSON) -> [UInt8] { hmacSHA256(key: key, value.canonicalBytes) }
}

private func isEqualInConstantTime(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    a.count == b.count && zip(a, b).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
}
