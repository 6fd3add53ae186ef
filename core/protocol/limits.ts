/** Limits of the wire protocol. Bytes unless the name says otherwise; the section of the rule stands beside each. */
export const LIMITS = {
  /** §2: one NDJSON line, newline excluded. */
  ndjsonLineBytes: 24 * 1024 * 1024,
  /** §2: nesting of one JSON line. */
  jsonDepth: 64,
  /** Values of one JSON text: parsing and checking millions of them would stop everything else. */
  jsonNodes: 100_000,
  /** The same for a frame on ports 1026 and 1027. */
  controlNodes: 20_000,
  /** `params` of a dispatch as JSON: they stand in the dispatch record, one evidence chunk. */
  paramsBytes: 1024 * 1024,
  /** Characters of a message or code that a guest sends. */
  guestTextChars: 1024,
  /** §3: a frame on ports 1024 and 1025. */
  frameBytes: 16 * 1024 * 1024,
  /** §3: a frame on ports 1026 and 1027. */
  controlFrameBytes: 64 * 1024,
  /** §3: silence inside a frame. */
  frameSilenceMs: 30_000,
  /** §3: stdout or stderr in a ToolResult. */
  outputBytes: 1024 * 1024,
  /** §3: output bytes in the evidence stream of one dispatch. */
  evidenceBytes: 64 * 1024 * 1024,
  /** §3: decoded bytes of one evidence chunk. */
  evidenceChunkBytes: 1024 * 1024,
  /** Chunks of one dispatch: the guest joins small writes, so an honest chain is far shorter. */
  evidenceChunks: 200_000,
  /** §2: files in and out of one dispatch together, decoded. */
  filesBytes: 8 * 1024 * 1024,
  deadlineMinMs: 100,
  deadlineMaxMs: 3_600_000,
  /** §1: a Unix socket path, terminating zero included (`sockaddr_un` on macOS). */
  socketPathBytes: 104,
  /** §4: a verification source is silent after this long. */
  sourceSilenceMs: 5_000,
  /** §4: a standby older than this is discarded. */
  standbyAgeMs: 10 * 60_000,
  /** §3 */
  heartbeatEveryMs: 5_000,
  heartbeatsMissed: 3,
  /** §5: `hello` on a local socket. */
  helloBytes: 4 * 1024,
  helloWithinMs: 2_000,
  connectionsBeforeHello: 32,
  /** §3: chains kept under `evidence/`. */
  evidenceChains: 200,
  /** Bytes that all kept chains may take on disk; the newest is kept whatever its size. */
  evidenceStoreBytes: 2 * 1024 * 1024 * 1024,
  minMemoryMib: 128,
} as const

/** SHA-256 of nothing: refused as a baseline (§4). */
export const EMPTY_SHA256 = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
