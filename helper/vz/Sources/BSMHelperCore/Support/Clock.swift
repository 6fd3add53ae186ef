import Foundation

/// Milliseconds on a clock that never jumps.
func now() -> Double { Double(DispatchTime.now().uptimeNanoseconds) / 1_000_000 }

func sleep(ms: Double) { Thread.sleep(forTimeInterval: max(0, ms) / 1000) }

/// RFC 3339, UTC, milliseconds.
func timestamp(_ date: Date = Date()) -> String {
    let milliseconds = Int64((date.timeIntervalSince1970 * 1000).rounded(.down))
    var seconds = time_t(milliseconds / 1000)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    let fraction = String(String(milliseconds % 1000 + 1000).dropFirst())
    return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
        + "T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)).\(fraction)Z"
}

/// Names what ended and how long it took.
struct PhaseClock {
    private var mark = now()
    private(set) var phases: [(name: String, ms: Double)] = []

    mutating func ended(_ name: String) {
        let time = now()
        phases.append((name, time - mark))
        mark = time
    }
}
