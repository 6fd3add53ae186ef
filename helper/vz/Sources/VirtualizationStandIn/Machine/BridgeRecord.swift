/// What a virtserialport carries for a vsock port: `u32be connection ‖ u8 kind ‖ u32be length ‖ bytes` (protocol §3).
struct BridgeRecord: Equatable {
  enum Kind: UInt8 {
    case open = 1
    case data = 2
    case close = 3
  }

  static let longestData = 65_536
  static let headerBytes = 9

  let connection: UInt32
  let kind: Kind
  var bytes: [UInt8] = []

  static func header(_ connection: UInt32, _ kind: Kind, length: Int = 0) -> [UInt8] {
    bigEndian(connection) + [kind.rawValue] + bigEndian(UInt32(length))
  }

  private static func bigEndian(_ value: UInt32) -> [UInt8] {
    [UInt8(value >> 24), UInt8(value >> 16 & 0xff), UInt8(value >> 8 & 0xff), UInt8(value & 0xff)]
  }
}

/// Finds the records in a stream, however it is cut.
struct BridgeRecordParser {
  private var held: [UInt8] = []

  /// Nil where the bytes are no records: nothing that follows can be trusted.
  mutating func push(_ chunk: UnsafeRawBufferPointer) -> [BridgeRecord]? {
    held.append(contentsOf: chunk)
    var records: [BridgeRecord] = []
    var at = 0
    while held.count - at >= BridgeRecord.headerBytes {
      let length = Int(word(at + 5))
      guard let kind = BridgeRecord.Kind(rawValue: held[at + 4]),
        length <= (kind == .data ? BridgeRecord.longestData : 0)
      else { return nil }
      let end = at + BridgeRecord.headerBytes + length
      if held.count < end { break }
      records.append(
        BridgeRecord(connection: word(at), kind: kind, bytes: Array(held[at + BridgeRecord.headerBytes..<end])))
      at = end
    }
    held.removeFirst(at)
    return records
  }

  private func word(_ at: Int) -> UInt32 {
    held[at..<at + 4].reduce(0) { $0 << 8 | UInt32($1) }
  }
}
