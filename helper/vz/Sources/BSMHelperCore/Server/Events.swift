/// What the helper tells unasked (§2).
enum HelperEvent {
    case vmmStateChanged(VmmApiState)
    case guestUnreachable(VmmApiState, String)
    case helperPanic(String)
    case execOutput(commandId: String, Output)
    case channelChanged(ChannelStatus)
    case resetPhase(ResetPhase)
    case standbyChanged(StandbyStatus)
    /// `source` is `helper` or `console`; guest text is hostile: whoever shows it escapes it.
    case log(source: String, level: String, String)
    case protocolError(String)

    var json: JSON {
        switch self {
        case .vmmStateChanged(let state): return event("vmm_state_changed", ["vmm_api_state": JSON(state.rawValue)])
        case .guestUnreachable(let state, let message):
            return event("guest_unreachable", ["vmm_api_state": JSON(state.rawValue), "message": JSON(message)])
        case .helperPanic(let message): return event("helper_panic", ["message": JSON(message)])
        case .execOutput(let commandId, let output):
            return event(
                "exec_output",
                [
                    "command_id": JSON(commandId), "stream": JSON(output.stream.rawValue), "data_b64": JSON(toBase64(output.data)),
                    "seq": JSON(output.seq),
                ])
        case .channelChanged(let status): return event("channel_changed", ["channel": status.json])
        case .resetPhase(let phase): return event("reset_phase", ["phase": phase.json])
        case .standbyChanged(let status): return event("standby_changed", ["standby": status.json])
        case .log(let source, let level, let message):
            return event("log", ["source": JSON(source), "level": JSON(level), "message": JSON(message)])
        case .protocolError(let message): return event("protocol_error", ["message": JSON(message)])
        }
    }
}

private func event(_ name: String, _ members: KeyValuePairs<String, JSON?>) -> JSON {
    JSON.record(["kind": JSON("event"), "event": JSON(name)]).joined(.record(members)).joined(.record(["ts": JSON(timestamp())]))
}

typealias Emit = (HelperEvent) -> Void
