import Foundation

/// QEMU's machine protocol.
final class Qmp: @unchecked Sendable {
  typealias Reply = Result<[String: Any], any Error>

  /// On the loop's thread.
  var event: (_ name: String, _ data: [String: Any]) -> Void = { _, _ in }
  private let loop: Loop
  private let stream: Stream
  private var lines = LineReader()
  private var waiting: [Int: (Reply) -> Void] = [:]
  private var lastId = 0
  private var isGreeted = false
  private var isClosed = false
  private var whenGreeted: [() -> Void] = []

  init(_ socket: Descriptor, on loop: Loop) {
    self.loop = loop
    stream = Stream(socket)
    stream.received = { [unowned self] bytes in
      for object in lines.push(bytes) { take(object) }
    }
    stream.ended = { [unowned self] in close() }
  }

  /// On the loop's thread.
  func attach() {
    loop.add(stream)
    ask("qmp_capabilities", [:]) { _ in }
  }

  /// Waits for the answer; never on the loop's thread.
  @discardableResult
  func execute(
    _ command: String, _ arguments: [String: Any] = [:], within seconds: Double = 15
  ) throws -> [String: Any] {
    let answer = Promise<Reply>()
    guard loop.post({ [self] in ask(command, arguments, answer.fulfil) }) else { throw Qmp.ended }
    guard let reply = answer.wait(seconds) else {
      throw VZError(.internalError, "QEMU did not answer “\(command)” within \(Int(seconds)) s.")
    }
    return try reply.get()
  }

  /// Asks without caring for the answer.
  func tell(_ command: String) { loop.post { [self] in ask(command, [:]) { _ in } } }

  private func ask(_ command: String, _ arguments: [String: Any], _ then: @escaping (Reply) -> Void) {
    if isClosed { return then(.failure(Qmp.ended)) }
    lastId += 1
    let id = lastId
    do {
      let object: [String: Any] = ["execute": command, "arguments": arguments, "id": id]
      let line = [UInt8](try JSONSerialization.data(withJSONObject: object)) + [UInt8(ascii: "\n")]
      waiting[id] = then
      // The greeting comes first; QEMU takes nothing before it has sent that.
      guard isGreeted else { return whenGreeted.append { [self] in put(line) } }
      put(line)
    } catch {
      then(.failure(error))
    }
  }

  private func put(_ line: [UInt8]) {
    stream.write(line)
    stream.flush()
  }

  private func take(_ object: [String: Any]) {
    if object["QMP"] != nil {
      isGreeted = true
      for work in whenGreeted { work() }
      whenGreeted = []
    } else if let name = object["event"] as? String {
      event(name, object["data"] as? [String: Any] ?? [:])
    } else if let id = object["id"] as? Int, let then = waiting.removeValue(forKey: id) {
      if let error = object["error"] as? [String: Any] {
        then(.failure(VZError(.internalError, "QEMU refused: \(error["desc"] as? String ?? "no reason")")))
      } else {
        then(.success(object["return"] as? [String: Any] ?? [:]))
      }
    }
  }

  /// QEMU is gone: whoever waits is told. On the loop's thread.
  func close() {
    isClosed = true
    loop.remove(stream)
    whenGreeted = []
    let left = waiting.values
    waiting = [:]
    for then in left { then(.failure(Qmp.ended)) }
  }

  private static let ended = VZError(.internalError, "QEMU has ended.")
}
