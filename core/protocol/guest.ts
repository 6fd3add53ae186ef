import * as z from 'zod'
import { Base64, Digest, type Port, TextEncoding, Timestamp, Uuid } from './common.ts'
import { LIMITS } from './limits.ts'

/** Messages inside the length-prefixed frames on the guest's ports (§3). */

/** Short words of a guest: codes, names, versions. */
const GuestWord = z.string().max(LIMITS.guestTextChars)
/** A sentence of a guest; it may name a path of 4096 characters. */
const GuestText = z.string().max(8 * LIMITS.guestTextChars)

export const FileIn = z.strictObject({
  path: z.string().min(1).max(4096),
  /** Permission bits, 0 … 0o777. */
  mode: z.int().min(0).max(0o777),
  data_b64: Base64,
})
export type FileIn = z.infer<typeof FileIn>

export const FileOut = z.union([
  z.strictObject({ path: z.string().max(4096), mode: z.int(), data_b64: Base64 }),
  z.strictObject({ path: z.string().max(4096), error: GuestText }),
])
export type FileOut = z.infer<typeof FileOut>

const Hex32 = z.string().regex(/^[0-9a-f]{64}$/)
const Epoch = z.int().nonnegative()

export const ToolDispatch = z.strictObject({
  type: z.literal('ToolDispatch'),
  command_id: Uuid,
  tool: z.string(),
  params: z.record(z.string(), z.json()),
  deadline_ms: z.int().min(LIMITS.deadlineMinMs).max(LIMITS.deadlineMaxMs),
  files_in: z.array(FileIn).optional(),
  files_out: z.array(z.string()).optional(),
  stdin_b64: Base64.optional(),
  cwd: z.string().optional(),
  env: z.record(z.string(), z.string()).optional(),
})
export type ToolDispatch = z.infer<typeof ToolDispatch>

/** `code` is a string here: what a guest says is checked before it is believed. */
export const GuestError = z.strictObject({ code: GuestWord, message: GuestText })
export type GuestError = z.infer<typeof GuestError>

export const PerStream = <T extends z.ZodType>(of: T) => z.strictObject({ stdout: of, stderr: of })

export const ToolResult = z.strictObject({
  type: z.literal('ToolResult'),
  command_id: Uuid,
  exit_code: z.int(),
  stdout: z.string(),
  stderr: z.string(),
  evidence_hash: Digest,
  truncated: PerStream(z.boolean()),
  /** Bytes the tool wrote, before any cut. */
  stdout_bytes: z.int().nonnegative(),
  stderr_bytes: z.int().nonnegative(),
  encoding: PerStream(TextEncoding),
  duration_ms: z.int().nonnegative(),
  files: z.array(FileOut).max(256).optional(),
  error: GuestError.optional(),
})
export type ToolResult = z.infer<typeof ToolResult>

export const EvidenceChunk = z.strictObject({
  type: z.literal('EvidenceChunk'),
  command_id: Uuid,
  /** From 1, rising by 1. */
  seq: z.int().positive(),
  chunk_data: Base64.max(4 * Math.ceil(LIMITS.evidenceChunkBytes / 3)),
  /** Decoded bytes. */
  chunk_size: z.int().nonnegative().max(LIMITS.evidenceChunkBytes),
  is_terminal: z.boolean(),
})
export type EvidenceChunk = z.infer<typeof EvidenceChunk>

export const QueryKind = z.enum(['OpenFdCount', 'MemUsage', 'ProcessList'])
export type QueryKind = z.infer<typeof QueryKind>
export const QUERY_DEADLINE_MS: Record<QueryKind, number> = {
  OpenFdCount: 1_000,
  MemUsage: 1_000,
  ProcessList: 5_000,
}

export const GuestQuery = z.strictObject({
  type: z.literal('GuestQuery'),
  query_id: Uuid,
  query_kind: QueryKind,
  ts: Timestamp,
})
export type GuestQuery = z.infer<typeof GuestQuery>

export const OpenFdCountResult = z.strictObject({ open_fd_count: z.int().nonnegative() })
export const MemUsageResult = z.strictObject({
  bytes_used: z.int().nonnegative(),
  bytes_total: z.int().positive(),
})
export const ProcessListResult = z.strictObject({
  processes: z.array(z.strictObject({ name: GuestWord, pid: z.int() })).max(100),
})
export const QueryResult = z.union([OpenFdCountResult, MemUsageResult, ProcessListResult])
export type QueryResult = z.infer<typeof QueryResult>

export const GuestResponse = z.strictObject({
  type: z.literal('GuestResponse'),
  query_id: Uuid,
  query_kind: QueryKind,
  result: QueryResult.optional(),
  error: GuestError.optional(),
  ts: Timestamp,
})
export type GuestResponse = z.infer<typeof GuestResponse>

export const Ping = z.strictObject({ type: z.literal('Ping'), nonce: z.string() })
export const Pong = z.strictObject({ type: z.literal('Pong'), nonce: GuestWord })

export const Hello = z.strictObject({
  type: z.literal('Hello'),
  protocol: z.int(),
  image_version: GuestWord,
  image_digest: Digest,
  boot_id: GuestWord,
  /** Empty once the epoch's first dispatch has erased it. */
  ram_nonce: z.union([Hex32, z.literal('')]),
  frozen: z.boolean(),
  vsock_cid: z.int().optional(),
  tools: z.array(z.json()).max(256),
})
export type Hello = z.infer<typeof Hello>

export const Resume = z.strictObject({
  type: z.literal('Resume'),
  epoch: Epoch,
  token: Hex32,
  entropy: Base64,
  /** Nanoseconds since 1970, decimal: more than a double holds. */
  wall_clock_ns: z.string().regex(/^\d+$/),
})
export type Resume = z.infer<typeof Resume>

export const ResumeAck = z.strictObject({
  type: z.literal('ResumeAck'),
  epoch: Epoch,
  /** A guest whose reseed failed stays frozen, and says nothing like this. */
  reseeded: z.literal(true),
  clock_step_ms: z.number(),
  ram_nonce: z.union([Hex32, z.literal('')]),
  dispatches: z.int().nonnegative(),
  overlay_bytes: z.int().nonnegative(),
})
export type ResumeAck = z.infer<typeof ResumeAck>

export const HeartbeatAck = z.strictObject({
  type: z.literal('HeartbeatAck'),
  seq: z.int(),
  load: z.number(),
  bytes_used: z.int(),
  bytes_total: z.int(),
  processes: z.int(),
  overlay_bytes: z.int(),
})
export type HeartbeatAck = z.infer<typeof HeartbeatAck>

export const WarmupAck = z.strictObject({ type: z.literal('WarmupAck') })
export const FreezeAck = z.strictObject({ type: z.literal('FreezeAck') })
export const KillAck = z.strictObject({
  type: z.literal('KillAck'),
  command_id: Uuid,
  killed: z.boolean(),
})

/** The guest refuses a message; `refused` names the control message that it left undone. */
export const GuestErrorMessage = z.strictObject({
  type: z.literal('Error'),
  code: GuestWord,
  message: GuestText,
  refused: GuestWord.optional(),
  /** Of a refused ToolDispatch, where it could be read. */
  command_id: GuestWord.optional(),
})
export type GuestErrorMessage = z.infer<typeof GuestErrorMessage>

/** What a guest may send on each port (§3); on another port the same message is of no known form. */
export const FROM_GUEST = {
  1024: z.discriminatedUnion('type', [ToolResult, GuestErrorMessage, Pong]),
  1025: z.discriminatedUnion('type', [EvidenceChunk, GuestErrorMessage, Pong]),
  1026: z.discriminatedUnion('type', [GuestResponse, GuestErrorMessage, Pong]),
  1027: z.discriminatedUnion('type', [
    Hello,
    ResumeAck,
    HeartbeatAck,
    WarmupAck,
    FreezeAck,
    KillAck,
    GuestErrorMessage,
    Pong,
  ]),
} as const
export type FromGuest = z.infer<(typeof FROM_GUEST)[Port]>

/** Everything a host may send on the control port. */
export type GuestControl =
  | Resume
  | { type: 'Warmup' }
  | { type: 'Freeze' }
  | { type: 'Heartbeat'; seq: number }
  | { type: 'Kill'; command_id: string }
  | { type: 'PowerOff' }
