import Foundation

/// Cuts bytes into lines of JSON objects.
struct LineReader {
  private var held = Data()

  mutating func push(_ bytes: UnsafeRawBufferPointer) -> [[String: Any]] {
    held.append(contentsOf: bytes)
    var objects: [[String: Any]] = []
    while let end = held.firstIndex(of: UInt8(ascii: "\n")) {
      if let object = try? JSONSerialization.jsonObject(with: held[held.startIndex..<end]) as? [String: Any] {
        objects.append(object)
      }
      held = Data(held[held.index(after: end)...])
    }
    return objects
  }
}
