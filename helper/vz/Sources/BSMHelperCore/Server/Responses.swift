/// One response: its kind, the id it answers, and what it says (§2).
struct HelperResponse {
    let json: JSON

    init(_ kind: String, _ requestId: String, _ body: JSON) {
        json = JSON.record(["kind": JSON(kind), "request_id": JSON(requestId)]).joined(body)
    }

    /// For a request that could not be taken at all.
    static func error(_ requestId: String, _ error: BsmError) -> HelperResponse {
        HelperResponse("error_response", requestId, .record(["error": error.wire]))
    }
}

/// What an `exec` came to.
struct ExecOutcome {
    /// Exit code of a dispatch that could not be run (§3).
    static let notRun = 254
    static let killed = 137

    let json: JSON
    let error: BsmError?
    let hasEvidence: Bool
    /// It ran in a VM, which is used up by that.
    let hasRun: Bool

    static func refused(_ request: ExecRequest, _ error: BsmError) -> ExecOutcome {
        ExecOutcome(
            json: .record([
                "command_id": JSON(request.commandId), "exit_code": JSON(notRun), "stdout": JSON(""), "stderr": JSON(""),
                "evidence_hash": .null, "error": error.wire,
            ]), error: error, hasEvidence: false, hasRun: false)
    }
}
