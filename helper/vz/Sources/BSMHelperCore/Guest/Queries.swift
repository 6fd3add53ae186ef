import Foundation

/// Guest queries on port 1026 (§3).
final class Queries {
    /// A guest works on 64 at a time and refuses more; others wait here.
    private static let atOnce = 32

    private let channel: Channel
    private let places = DispatchSemaphore(value: Queries.atOnce)
    private let requests = PendingRequests<GuestResponse>()

    init(_ channel: Channel) { self.channel = channel }

    /// Asks the guest; without `ms`, what the guest has for this kind, and as much again for the way.
    func ask(_ kind: QueryKind, ms: Double? = nil) throws -> JSON {
        let ms = ms ?? 2 * kind.deadlineMs
        guard places.wait(timeout: .now() + .microseconds(Int(ms * 1000))) == .success else {
            throw BsmError(.busy, .helper, "Too many queries are under way.", next: "Wait for some responses.")
        }
        defer { places.signal() }
        let end = now() + ms
        var response = try send(kind, ms: ms)
        // The guest gives itself a second (§3), whoever asks may wait for five (§4): on a busy host it is asked again.
        while response.error?.code == ErrorCode.timeout.rawValue, now() < end { response = try send(kind, ms: end - now()) }
        if let error = response.error {
            throw BsmError(.guestUnreachable, .guest, "The guest could not answer \(kind.rawValue): \(error.message)")
        }
        guard let result = response.result, response.kind == kind, isResult(result, of: kind) else {
            throw BsmError(.frameMalformed, .guest, "The guest's answer to \(kind.rawValue) has not the form of one.")
        }
        return result
    }

    private func send(_ kind: QueryKind, ms: Double) throws -> GuestResponse {
        let id = newUUID()
        return try requests.ask(id, ms: ms) {
            try channel.send(
                .record([
                    "type": JSON("GuestQuery"), "query_id": JSON(id), "query_kind": JSON(kind.rawValue), "ts": JSON(timestamp()),
                ]))
        }
    }

    func openFdCount(ms: Double) throws -> Int {
        var fields = try Fields(try ask(.openFdCount, ms: ms))
        return try fields.int("open_fd_count", Int.counts)
    }

    func take(_ message: GuestMessage) {
        switch message {
        case .response(let response): requests.answer(response.queryId, response)
        case .error(let error):
            closed(BsmError(.guestUnreachable, .guest, "The guest refused a query: \(error.message)", details: error.code))
        default: break
        }
    }

    func closed(_ error: BsmError) { requests.failAll(error) }
}

private func isResult(_ value: JSON, of kind: QueryKind) -> Bool {
    do {
        var fields = try Fields(value)
        switch kind {
        case .openFdCount: _ = try fields.int("open_fd_count", Int.counts)
        case .memUsage:
            _ = try fields.int("bytes_used", Int.counts)
            _ = try fields.int("bytes_total", 1...Int.safe.upperBound)
        case .processList:
            for process in try fields.array("processes", max: 100) {
                var fields = try Fields(process)
                _ = try fields.string("name")
                _ = try fields.int("pid")
                try fields.end()
            }
        }
        try fields.end()
        return true
    } catch {
        return false
    }
}
