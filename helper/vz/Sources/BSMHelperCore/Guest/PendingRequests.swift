/// Questions under way on one connection, by key; each has a deadline and all fail when it closes.
final class PendingRequests<Answer> {
    private let pending = Protected<[String: Future<Answer>]>([:])

    func ask(_ key: String, ms: Double, send: () throws -> Void) throws -> Answer {
        let answer = Future<Answer>()
        let isFirst = pending.with { pending -> Bool in
            guard pending[key] == nil else { return false }
            pending[key] = answer
            return true
        }
        guard isFirst else { throw BsmError(.busy, .helper, "\(key) is already under way.") }
        defer { pending.with { $0[key] = nil } }
        try send()
        return try answer.wait(ms: ms) {
            BsmError(.guestUnreachable, .guest, "The guest did not answer \(key) within \(Int(ms)) ms.",
                next: "Reset to get a new VM.")
        }
    }

    func answer(_ key: String, _ answer: Answer) { pending.with { $0[key] }?.succeed(answer) }
    func refuse(_ key: String, _ error: Error) { pending.with { $0[key] }?.fail(error) }
    func failAll(_ error: Error) { for answer in pending.current.values { answer.fail(error) } }
}
