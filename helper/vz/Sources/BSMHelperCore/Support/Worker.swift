import Foundation

/// Threads of our own. They wait for guests and disks, and GCD has only so many that may.
enum Worker {
    private static let stackBytes = 2 * 1024 * 1024

    static func start(_ name: String, _ body: @escaping () -> Void) {
        let thread = Thread { withMemoryPool(body) }
        thread.name = name
        thread.stackSize = stackBytes
        thread.start()
    }

    /// The result of work that goes on meanwhile.
    static func run<Value>(_ name: String, _ body: @escaping () throws -> Value) -> Future<Value> {
        let future = Future<Value>()
        start(name) { future.complete(Result(catching: body)) }
        return future
    }
}

/// Runs something again and again until it is stopped.
final class Ticker {
    private let stopped = DispatchSemaphore(value: 0)

    init(_ name: String, everyMs: Double, _ tick: @escaping () -> Void) {
        let stopped = self.stopped
        Worker.start(name) {
            while stopped.wait(timeout: .now() + .microseconds(Int(everyMs * 1000))) == .timedOut { tick() }
        }
    }

    func stop() { stopped.signal() }

    deinit { stopped.signal() }
}
