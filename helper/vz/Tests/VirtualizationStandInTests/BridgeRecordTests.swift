import XCTest

@testable import Virtualization

final class BridgeRecordTests: XCTestCase {
  private func parse(_ bytes: [UInt8], by size: Int) -> [BridgeRecord]? {
    var parser = BridgeRecordParser()
    var records: [BridgeRecord] = []
    for start in stride(from: 0, to: bytes.count, by: size) {
      let piece = Array(bytes[start..<min(bytes.count, start + size)])
      guard let found = piece.withUnsafeBytes({ parser.push($0) }) else { return nil }
      records += found
    }
    return records
  }

  func testRecordsAreFoundHoweverTheStreamIsCut() {
    let data = (0..<300).map { UInt8($0 % 256) }
    let bytes =
      BridgeRecord.header(0x0102_0304, .open) + BridgeRecord.header(9, .data, length: data.count) + data
      + BridgeRecord.header(.max, .close)
    let expected = [
      BridgeRecord(connection: 0x0102_0304, kind: .open),
      BridgeRecord(connection: 9, kind: .data, bytes: data),
      BridgeRecord(connection: .max, kind: .close),
    ]
    for size in [1, 2, 7, 9, 100, bytes.count] { XCTAssertEqual(parse(bytes, by: size), expected, "by \(size)") }
  }

  func testWhatIsNoRecordIsRefused() {
    XCTAssertNil(parse(BridgeRecord.header(1, .data, length: BridgeRecord.longestData + 1), by: 9))
    XCTAssertNil(parse(BridgeRecord.header(1, .open, length: 1), by: 9))
    XCTAssertNil(parse([0, 0, 0, 1, 9, 0, 0, 0, 0], by: 9))
  }
}
