/// The phases of a reset, in the order in which they are reported (§4).
enum PhaseName: String, CaseIterable {
    case discard, load, reconnect, resume, warmup, verify
}

struct ResetPhase {
    let name: PhaseName
    let ms: Double
    /// Done in the standby, before anyone waited for it.
    let isAhead: Bool

    var json: JSON { .record(["name": JSON(name.rawValue), "ms": JSON(ms), "ahead": JSON(isAhead)]) }
}
