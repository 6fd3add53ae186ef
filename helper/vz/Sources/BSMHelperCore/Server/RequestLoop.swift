import Foundation

/// The requests of one client: read as they come, answered as they are done, many in flight (§2).
final class RequestLoop {
    enum End { case eof, shutdown }

    private struct State {
        var ids = Set<String>()
        var held: [HelperRequest]? = []
        var inFlight = 0
    }

    private let output: LineWriter
    private let emit: Emit
    private let take: (HelperRequest) -> Helper.Taken
    /// Told of a `shutdown` or the input's end while requests are still held: it aborts the boot.
    private let stopEarly: () -> Void
    private let state = Protected(State())
    /// How the conversation ended.
    let over = Future<End>()

    init(
        input: Int32, output: LineWriter, emit: @escaping Emit, take: @escaping (HelperRequest) -> Helper.Taken,
        stopEarly: @escaping () -> Void
    ) {
        self.output = output
        self.emit = emit
        self.take = take
        self.stopEarly = stopEarly
        Worker.start("bsm.reader") { self.read(input) }
    }

    /// Answers what was held while the VM booted; from now on nothing is held.
    func release() {
        while true {
            let held = state.with { state -> [HelperRequest] in
                let held = state.held ?? []
                // Emptied before it is opened: what comes meanwhile keeps its place behind what came before.
                state.held = held.isEmpty ? nil : []
                return held
            }
            if held.isEmpty { return }
            held.forEach(answer)
        }
    }

    /// Waits until what was taken is answered, at most `ms`.
    func settle(ms: Double) {
        let end = now() + ms
        while now() < end, state.with({ $0.inFlight > 0 }) { sleep(ms: 2) }
    }

    private func read(_ input: Int32) {
        var lines = LineSplitter()
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 * 1024, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            let count = Foundation.read(input, buffer.baseAddress, buffer.count)
            if count < 0 && errno == EINTR { continue }
            if count < 0 && errno == EAGAIN {
                _ = try? readable(input, ms: nil)
                continue
            }
            guard count > 0 else { break }
            for line in lines.push(UnsafeRawBufferPointer(rebasing: buffer[..<count])) { takeLine(ParsedLine(line)) }
        }
        if state.with({ $0.held != nil }) { stopEarly() }
        over.succeed(.eof)
    }

    private func takeLine(_ line: ParsedLine) {
        switch line {
        case .refused(let error, let id): refuse(error, id)
        case .request(let request):
            let isNew = state.with { $0.ids.insert(request.id).inserted }
            guard isNew else {
                refuse(BsmError(.badRequest, .agent, "The request_id is in use by a request under way.", next: "Use a fresh one."), nil)
                return
            }
            let isHeld = state.with { state -> Bool in
                state.held?.append(request)
                return state.held != nil
            }
            guard isHeld else {
                answer(request)
                return
            }
            if case .shutdown = request.kind { stopEarly() }
        }
    }

    private func refuse(_ error: BsmError, _ requestId: String?) {
        emit(.protocolError(error.message))
        if let id = requestId { output.write(HelperResponse.error(id, error).json) }
    }

    private func answer(_ request: HelperRequest) {
        state.with { $0.inFlight += 1 }
        switch take(request) {
        case .answer(let response): finish(request, response)
        case .work(let work): Worker.start("bsm.request") { self.finish(request, work()) }
        }
    }

    private func finish(_ request: HelperRequest, _ response: HelperResponse) {
        output.write(response.json)
        state.with { state in
            state.ids.remove(request.id)
            state.inFlight -= 1
        }
        if case .shutdown = request.kind { over.succeed(.shutdown) }
    }
}
