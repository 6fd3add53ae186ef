/// Everything a guest may send, whichever port (§3). Strict: an unknown field or type is no message.
enum GuestMessage {
    case toolResult(ToolResult)
    case evidenceChunk(EvidenceChunk)
    case response(GuestResponse)
    case pong(nonce: String)
    case hello(Hello)
    case resumeAck(ResumeAck)
    case heartbeatAck(HeartbeatAck)
    case warmupAck
    case freezeAck
    case killAck(killed: Bool)
    case error(GuestRefusalMessage)

    init(_ value: JSON) throws {
        var fields = try Fields(value)
        switch try fields.string("type") {
        case "ToolResult": self = .toolResult(try ToolResult(&fields))
        case "EvidenceChunk": self = .evidenceChunk(try EvidenceChunk(&fields))
        case "GuestResponse": self = .response(try GuestResponse(&fields))
        case "Pong": self = .pong(nonce: try fields.string("nonce"))
        case "Hello": self = .hello(try Hello(&fields))
        case "ResumeAck": self = .resumeAck(try ResumeAck(&fields))
        case "HeartbeatAck": self = .heartbeatAck(try HeartbeatAck(&fields))
        case "WarmupAck": self = .warmupAck
        case "FreezeAck": self = .freezeAck
        case "KillAck":
            _ = try fields.uuid("command_id")
            self = .killAck(killed: try fields.bool("killed"))
        case "Error": self = .error(try GuestRefusalMessage(&fields))
        default: throw fields.error("type", "not one of the known messages")
        }
        try fields.end()
    }

    /// On another port the same message is of no known form (§3).
    func belongs(on port: GuestPort) -> Bool {
        switch self {
        case .pong, .error: return true
        case .toolResult: return port == .dispatch
        case .evidenceChunk: return port == .evidence
        case .response: return port == .query
        case .hello, .resumeAck, .heartbeatAck, .warmupAck, .freezeAck, .killAck: return port == .control
        }
    }
}

struct ToolResult {
    let commandId: String
    let exitCode: Int
    let stdout: String
    let stderr: String
    let evidenceHash: String
    let truncated: JSON
    let stdoutBytes: Int
    let stderrBytes: Int
    let encoding: JSON
    let durationMs: Int
    let files: [JSON]?
    let error: (code: String, message: String)?

    init(_ fields: inout Fields) throws {
        commandId = try fields.uuid("command_id")
        exitCode = try fields.int("exit_code")
        stdout = try fields.string("stdout")
        stderr = try fields.string("stderr")
        evidenceHash = try fields.digest("evidence_hash")
        var truncated = try fields.fields("truncated")
        self.truncated = perStream(JSON(try truncated.bool("stdout")), JSON(try truncated.bool("stderr")))
        try truncated.end()
        stdoutBytes = try fields.int("stdout_bytes", Int.counts)
        stderrBytes = try fields.int("stderr_bytes", Int.counts)
        var encoding = try fields.fields("encoding")
        let encodings = (try encoding.string("stdout"), try encoding.string("stderr"))
        guard ["utf-8", "base64"].contains(encodings.0), ["utf-8", "base64"].contains(encodings.1) else {
            throw fields.error("encoding", "not one of the known values")
        }
        try encoding.end()
        self.encoding = perStream(JSON(encodings.0), JSON(encodings.1))
        durationMs = try fields.int("duration_ms", Int.counts)
        files = try fields.optionalArray("files")
        for file in files ?? [] { try checkFileOut(file) }
        error = try readError(&fields)
    }

    /// The result in the evidence chain's terms: files by digest, the error by its code.
    var inChainTerms: JSON {
        .record([
            "command_id": JSON(commandId), "exit_code": JSON(exitCode), "stdout": JSON(stdout), "stderr": JSON(stderr),
            "evidence_hash": JSON(evidenceHash), "truncated": truncated, "stdout_bytes": JSON(stdoutBytes),
            "stderr_bytes": JSON(stderrBytes), "encoding": encoding, "duration_ms": JSON(durationMs),
            "error": JSON(orNull: error?.code), "files": files.map { .array($0.map(withDigest)) } ?? .null, "cut": truncated,
        ])
    }
}

private func withDigest(_ file: JSON) -> JSON {
    guard let data = file["data_b64"]?.text.flatMap(fromBase64) else { return file }
    return .record(["path": file["path"], "mode": file["mode"], "digest": JSON(sha256(data))])
}

private func checkFileOut(_ file: JSON) throws {
    var fields = try Fields(file, at: "files")
    _ = try fields.string("path")
    if fields.has("error") {
        _ = try fields.string("error")
    } else {
        _ = try fields.int("mode")
        _ = try fields.base64("data_b64")
    }
    try fields.end()
}

private func readError(_ fields: inout Fields) throws -> (code: String, message: String)? {
    guard fields.has("error") else { return nil }
    var error = try fields.fields("error")
    let read = (code: try error.string("code"), message: try error.string("message"))
    try error.end()
    return read
}

struct EvidenceChunk {
    let commandId: String
    /// From 1, rising by 1.
    let seq: Int
    let data: [UInt8]
    /// As the guest says; compared with what came.
    let size: Int
    let isTerminal: Bool

    init(commandId: String, seq: Int, data: [UInt8], size: Int, isTerminal: Bool) {
        self.commandId = commandId
        self.seq = seq
        self.data = data
        self.size = size
        self.isTerminal = isTerminal
    }

    init(_ fields: inout Fields) throws {
        commandId = try fields.uuid("command_id")
        seq = try fields.int("seq", 1...Int.safe.upperBound)
        data = try fields.base64("chunk_data")
        size = try fields.int("chunk_size", 0...Limits.evidenceChunkBytes)
        isTerminal = try fields.bool("is_terminal")
    }

    var json: JSON {
        .record([
            "type": JSON("EvidenceChunk"), "command_id": JSON(commandId), "seq": JSON(seq),
            "chunk_data": JSON(toBase64(data)), "chunk_size": JSON(size), "is_terminal": JSON(isTerminal),
        ])
    }
}

struct GuestResponse {
    let queryId: String
    let kind: QueryKind
    let result: JSON?
    let error: (code: String, message: String)?

    init(_ fields: inout Fields) throws {
        queryId = try fields.uuid("query_id")
        kind = try fields.oneOf("query_kind")
        result = fields.optional("result")
        error = try readError(&fields)
        _ = try fields.string("ts")
    }
}

struct Hello {
    let imageVersion: String
    let imageDigest: String
    /// Empty once the epoch's first dispatch has erased it.
    let ramNonce: String
    let isFrozen: Bool
    let vsockCid: Int?
    let tools: [JSON]

    init(_ fields: inout Fields) throws {
        _ = try fields.int("protocol")
        imageVersion = try fields.string("image_version")
        imageDigest = try fields.digest("image_digest")
        _ = try fields.string("boot_id")
        ramNonce = try fields.hex32("ram_nonce", orEmpty: true)
        isFrozen = try fields.bool("frozen")
        vsockCid = try fields.optionalInt("vsock_cid")
        tools = try fields.array("tools")
    }
}

struct ResumeAck {
    let epoch: Int
    let clockStepMs: Double
    let ramNonce: String
    let dispatches: Int
    let overlayBytes: Int

    init(_ fields: inout Fields) throws {
        epoch = try fields.int("epoch", Int.counts)
        guard try fields.bool("reseeded") else { throw fields.error("reseeded", "the guest did not reseed") }
        clockStepMs = try fields.number("clock_step_ms")
        ramNonce = try fields.hex32("ram_nonce", orEmpty: true)
        dispatches = try fields.int("dispatches", Int.counts)
        overlayBytes = try fields.int("overlay_bytes", Int.counts)
    }
}

struct HeartbeatAck {
    let load: Double
    let bytesUsed: Int
    let bytesTotal: Int
    let processes: Int
    let overlayBytes: Int

    init(_ fields: inout Fields) throws {
        _ = try fields.int("seq")
        load = try fields.number("load")
        bytesUsed = try fields.int("bytes_used")
        bytesTotal = try fields.int("bytes_total")
        processes = try fields.int("processes")
        overlayBytes = try fields.int("overlay_bytes")
    }
}

/// The guest refuses a message; `refused` names the control message that it left undone.
struct GuestRefusalMessage {
    let code: String
    let message: String
    let refused: String?

    init(_ fields: inout Fields) throws {
        code = try fields.string("code")
        message = try fields.string("message")
        refused = try fields.optionalString("refused")
        _ = try fields.optionalString("command_id")
    }
}
