/// Limits of the wire protocol. Bytes or milliseconds, as the name says; the section stands beside each.
enum Limits {
    /// §2: one NDJSON line, newline excluded.
    static let ndjsonLineBytes = 24 * 1024 * 1024
    /// §2: nesting of one JSON line.
    static let jsonDepth = 64
    /// §3: a frame on ports 1024 and 1025.
    static let frameBytes = 16 * 1024 * 1024
    /// §3: a frame on ports 1026 and 1027.
    static let controlFrameBytes = 64 * 1024
    /// §3: silence inside a frame.
    static let frameSilenceMs = 30_000.0
    /// §3: stdout or stderr in a ToolResult.
    static let outputBytes = 1024 * 1024
    /// §3: output bytes in the evidence stream of one dispatch.
    static let evidenceBytes = 64 * 1024 * 1024
    /// §3: decoded bytes of one evidence chunk.
    static let evidenceChunkBytes = 1024 * 1024
    /// §2: files in and out of one dispatch together, decoded.
    static let filesBytes = 8 * 1024 * 1024
    /// §2
    static let deadlineMs = 100...3_600_000
    /// §1: a Unix socket path, terminating zero included (`sockaddr_un` on macOS).
    static let socketPathBytes = 104
    /// §4: a verification source is silent after this long.
    static let sourceSilenceMs = 5_000.0
    /// §4: a standby older than this is discarded.
    static let standbyAgeMs = 10 * 60_000.0
    /// §3
    static let heartbeatEveryMs = 5_000.0
    static let heartbeatsMissed = 3
    static let minMemoryMib = 128
}

/// SHA-256 of nothing: refused as a baseline (§4).
let emptySHA256 = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
