import Foundation

/// RFC 4648 with padding, and nothing else: no white space, no other alphabet.
func fromBase64(_ text: String) -> [UInt8]? {
    let padding = text.utf8.reversed().prefix { $0 == UInt8(ascii: "=") }.count
    guard text.utf8.count % 4 == 0, padding <= 2, let data = Data(base64Encoded: text) else { return nil }
    return data.count == text.utf8.count / 4 * 3 - padding ? [UInt8](data) : nil
}

func toBase64(_ bytes: [UInt8]) -> String { Data(bytes).base64EncodedString() }

func toHex<S: Sequence>(_ bytes: S) -> String where S.Element == UInt8 {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}

func fromHex(_ text: String) -> [UInt8]? {
    let digits = text.utf8.map(hexDigit)
    guard digits.count % 2 == 0 else { return nil }
    var bytes: [UInt8] = []
    for index in stride(from: 0, to: digits.count, by: 2) {
        guard let high = digits[index], let low = digits[index + 1] else { return nil }
        bytes.append(high << 4 | low)
    }
    return bytes
}
