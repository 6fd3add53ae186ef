import Foundation
import XCTest

@testable import BSMHelperCore

final class JSONTests: XCTestCase {
    func testRefusesWhatIsNoJSON() {
        for text in [
            "", " ", "{", "}", "[1,]", "{\"a\":1,}", "{a:1}", "01", "1.", ".5", "+1", "-", "1e", "nul", "tru", "\"", "\"\u{1}\"", "\"\\x\"",
            "\"\\u12\"", "[1 2]", "{} {}", "NaN", "1e999", "'a'", "[,]", "{\"a\"}", "{\"a\":}",
        ] {
            XCTAssertThrowsError(try JSON.parse(text), text)
        }
    }

    func testRefusesARepeatedKeyHoweverItIsWritten() {
        XCTAssertThrowsError(try JSON.parse("{\"a\":1,\"a\":2}"))
        XCTAssertThrowsError(try JSON.parse("{\"a\":1,\"\\u0061\":2}"))
        XCTAssertThrowsError(try JSON.parse("[{\"b\":{\"c\":1,\"c\":1}}]"))
    }

    func testTakesKeysThatOnlyUnicodeTakesForEqual() throws {
        let value = try JSON.parse("{\"\u{e9}\":1,\"e\u{301}\":2}")
        XCTAssertEqual(value.members?.count, 2)
        XCTAssertEqual(value["e\u{301}"]?.canonicalBytes, Array("2".utf8))
    }

    func testRefusesHalfOfASurrogatePair() {
        for text in ["\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\\ud800x\""] { XCTAssertThrowsError(try JSON.parse(text), text) }
        XCTAssertEqual(try JSON.parse("\"\\ud83d\\ude00\"").text, "😀")
    }

    func testRefusesBytesThatAreNotUTF8() {
        for bytes: [UInt8] in [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82], [0xf0, 0x8f, 0xbf, 0xbf]] {
            XCTAssertFalse(isUTF8(bytes))
            XCTAssertThrowsError(try JSON.parse([0x22] + bytes + [0x22]))
        }
        XCTAssertTrue(isUTF8(Array("a\u{7ff}\u{ffff}\u{10ffff} and more than eight".utf8)))
    }

    func testNestsAsDeepAsTheLimitAndNoDeeper() {
        func nested(_ depth: Int) -> String { String(repeating: "[", count: depth) + String(repeating: "]", count: depth) }
        XCTAssertNoThrow(try JSON.parse(nested(64)))
        XCTAssertThrowsError(try JSON.parse(nested(65)))
        XCTAssertThrowsError(try JSON.parse(String(repeating: "[", count: 1_000_000)))
    }

    func testWritesEveryEscape() throws {
        let text = "\u{0}\u{8}\t\n\u{c}\r\"\\/\u{1f}é😀"
        let written = JSON.string(text).bytes
        XCTAssertEqual(String(decoding: written, as: UTF8.self), "\"\\u0000\\b\\t\\n\\f\\r\\\"\\\\/\\u001fé😀\"")
        XCTAssertEqual(try JSON.parse(written).text, text)
    }

    func testWritesNumbersAsECMAScriptDoes() {
        for (value, text) in [
            (0.0, "0"), (-0.0, "0"), (1, "1"), (-1.5, "-1.5"), (1e21, "1e+21"), (1e20, "100000000000000000000"), (1e-6, "0.000001"),
            (1e-7, "1e-7"), (Double.leastNonzeroMagnitude, "5e-324"), (1.7976931348623157e308, "1.7976931348623157e+308"), (0.1, "0.1"), (123.456, "123.456"),
            (9_007_199_254_740_991, "9007199254740991"), (4.35, "4.35"), (1.25e-9, "1.25e-9"),
        ] { XCTAssertEqual(ecmaScriptNumber(value), text) }
    }

    func testCanonicalFormIsThatOfTheSharedVectors() throws {
        for vector in try sharedVectors("canonical_json") {
            let input = try XCTUnwrap(vector["input"]?.text)
            XCTAssertEqual(String(decoding: try JSON.parse(input).canonicalBytes, as: UTF8.self), vector["output"]?.text)
        }
    }

    func testFieldsRefuseWhatIsUnknownMissingOrOfAnotherType() throws {
        var fields = try Fields(try json("{\"a\":1,\"b\":\"x\",\"c\":1.5}"))
        XCTAssertThrowsError(try fields.string("a"))
        XCTAssertThrowsError(try fields.string("missing"))
        XCTAssertThrowsError(try fields.int("c"))
        XCTAssertThrowsError(try fields.end())
        XCTAssertThrowsError(try Fields(try json("[]")))
    }

    func testKnowsUUIDsDigestsAndBase64() {
        XCTAssertTrue(isUUID(someId))
        XCTAssertTrue(isUUID(someId.uppercased()))
        XCTAssertTrue(isUUID("00000000-0000-0000-0000-000000000000"))
        for text in ["", "seven", someId + "0", someId.replacingOccurrences(of: "-", with: "0"), "3f0c7a52-9a39-9a3e-8d4b-5b6c1f0f6a11"] {
            XCTAssertFalse(isUUID(text), text)
        }
        XCTAssertTrue(isDigest(someDigest))
        XCTAssertFalse(isDigest(someDigest.uppercased()))
        XCTAssertEqual(fromBase64("aGk="), Array("hi".utf8))
        for text in ["aGk", "aG k=", "***", "aGk=\n", "a==="] { XCTAssertNil(fromBase64(text), text) }
        XCTAssertEqual(fromHex("00ff"), [0, 255])
        XCTAssertNil(fromHex("0"))
        XCTAssertNil(fromHex("zz"))
    }
}

/// The vectors that guest, app and both helpers share.
func sharedVectors(_ key: String) throws -> [JSON] {
    guard case .array(let vectors)? = try sharedVector(key) else { throw FormError(description: key) }
    return vectors
}

func sharedVector(_ key: String) throws -> JSON? {
    let path = Files.join(repository, "guest/testdata/evidence-vectors.json")
    return try JSON.parse(try Files.read(path, limit: 1_000_000))[key]
}
