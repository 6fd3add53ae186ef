/// The evidence chain (§3): each chunk's hash holds the one before.
struct EvidenceChain {
    private static let prefix = Array("brainstorm-evidence-chunk-v1\0".utf8)

    let commandId: String
    private(set) var seq = 0
    private(set) var last: [UInt8]?

    init(commandId: String) { self.commandId = commandId }

    mutating func append(_ data: [UInt8]) {
        seq += 1
        let hash = SHA256Stream()
        hash.update(EvidenceChain.prefix)
        hash.update(Array(commandId.utf8))
        hash.update(bigEndian(UInt64(seq)))
        hash.update(bigEndian(UInt32(data.count)))
        hash.update(data)
        hash.update(last ?? [UInt8](repeating: 0, count: 32))
        last = hash.finish()
    }

    /// `sha256:` and the hash of the last chunk; nil before the first.
    var hash: String? { last.map { "sha256:" + toHex($0) } }
}

func bigEndian<T: FixedWidthInteger>(_ number: T) -> [UInt8] { withUnsafeBytes(of: number.bigEndian, Array.init) }
