import Foundation

/// One result that many may wait for, each with a deadline. The first completion counts.
final class Future<Value>: @unchecked Sendable {
    private let result = Protected<Result<Value, Error>?>(nil)
    /// Entered until there is a result: a group, unlike a condition, waits on a clock that never jumps.
    private let group = DispatchGroup()

    init() { group.enter() }

    deinit {
        if result.current == nil { group.leave() }
    }

    @discardableResult
    func complete(_ outcome: Result<Value, Error>) -> Bool {
        let first = result.with { result -> Bool in
            guard result == nil else { return false }
            result = outcome
            return true
        }
        if first { group.leave() }
        return first
    }

    @discardableResult
    func succeed(_ value: Value) -> Bool { complete(.success(value)) }
    @discardableResult
    func fail(_ error: Error) -> Bool { complete(.failure(error)) }

    /// What there is now.
    var outcome: Result<Value, Error>? { result.current }

    /// Waits at most `ms` milliseconds; throws what the work threw, or `late()`.
    func wait(ms: Double, late: () -> Error) throws -> Value {
        _ = group.wait(timeout: .now() + .microseconds(Int(max(0, ms) * 1000)))
        guard let outcome = outcome else { throw late() }
        return try outcome.get()
    }

    /// Waits as long as it takes: only for what has deadlines of its own.
    func wait() throws -> Value {
        group.wait()
        guard let outcome = outcome else { throw BsmError(.internalBug, .helper, "A result was announced and is missing.") }
        return try outcome.get()
    }
}
