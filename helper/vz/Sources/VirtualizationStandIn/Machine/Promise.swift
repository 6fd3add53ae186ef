import Foundation

/// A value that one thread waits for and another gives, once.
final class Promise<Value>: @unchecked Sendable {
  private let condition = NSCondition()
  private var value: Value?

  func fulfil(_ value: Value) {
    condition.lock()
    if self.value == nil { self.value = value }
    condition.broadcast()
    condition.unlock()
  }

  /// Nil when it does not come in time.
  func wait(_ seconds: Double) -> Value? {
    let deadline = Date(timeIntervalSinceNow: seconds)
    condition.lock()
    defer { condition.unlock() }
    while value == nil, condition.wait(until: deadline) {}
    return value
  }
}
