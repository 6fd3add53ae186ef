import Foundation

/// Writes JSON lines to a descriptor from a thread of its own: a reader that stops reading stops nothing here.
final class LineWriter {
    /// Beyond this, events are dropped until the reader has caught up; responses never are.
    private static let heldBytes = 32 * 1024 * 1024

    private struct Waiting {
        var lines: [[UInt8]] = []
        var bytes = 0
        var isWriting = false
        var isBroken = false
    }

    private let descriptor: Int32
    private let waiting = Protected(Waiting())
    private let work = DispatchSemaphore(value: 0)

    init(descriptor: Int32) {
        self.descriptor = descriptor
        Worker.start("bsm.writer") { [work, waiting] in
            while true {
                work.wait()
                LineWriter.drain(descriptor, waiting)
            }
        }
    }

    /// For what must arrive.
    func write(_ message: JSON) { enqueue(message, onlyIfRoom: false) }

    /// For what may be lost when no one reads.
    func writeIfRoom(_ message: JSON) { enqueue(message, onlyIfRoom: true) }

    /// Returns once everything was handed over, nobody can read it any more, or `ms` are over.
    func flush(ms: Double) {
        let end = now() + ms
        while now() < end, waiting.with({ !$0.isBroken && ($0.isWriting || !$0.lines.isEmpty) }) { sleep(ms: 1) }
    }

    private func enqueue(_ message: JSON, onlyIfRoom: Bool) {
        let line = message.bytes + [UInt8(ascii: "\n")]
        waiting.with { waiting in
            if waiting.isBroken || (onlyIfRoom && waiting.bytes > LineWriter.heldBytes) { return }
            waiting.lines.append(line)
            waiting.bytes += line.count
        }
        work.signal()
    }

    private static func drain(_ descriptor: Int32, _ waiting: Protected<Waiting>) {
        let lines = waiting.with { waiting -> [[UInt8]] in
            let lines = waiting.lines
            waiting.lines = []
            waiting.isWriting = true
            return lines
        }
        var isBroken = false
        for line in lines {
            do { try Files.write(descriptor, line) } catch { isBroken = true }
            waiting.with { $0.bytes -= line.count }
            if isBroken { break }
        }
        waiting.with { waiting in
            waiting.isWriting = false
            if isBroken { waiting.isBroken = true }
        }
    }
}
