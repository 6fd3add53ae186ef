import * as z from 'zod'
import {
  Accelerator,
  Backend,
  Base64,
  BootPath,
  Digest,
  OutputStream,
  Port,
  TextEncoding,
  Timestamp,
  Uuid,
  VmmApiState,
} from './common.ts'
import { WireError } from './errors.ts'
import { FileIn, FileOut, PerStream, QueryKind, QueryResult } from './guest.ts'
import { LIMITS } from './limits.ts'

/** The helper's command line and NDJSON channel (§1, §2). */

export const Finding = z.object({ code: z.string(), message: z.string(), remedy: z.string() })
export type Finding = z.infer<typeof Finding>

export const Preflight = z.object({
  ok: z.boolean(),
  /** Null off macOS. */
  macos_version: z.string().nullable(),
  arch: z.string(),
  fast_snapshot_supported: z.boolean(),
  entitlement_present: z.boolean(),
  backend: Backend,
  accelerator: Accelerator,
  host_os: z.string(),
  rejections: z.array(Finding),
  warnings: z.array(Finding),
})
export type Preflight = z.infer<typeof Preflight>

// ---------------------------------------------------------------- reset and verification (§4)

/** The eight verification fields. A source that could not be read is null, and then the response carries an error. */
export const VerificationDetails = z.object({
  fs_hash: Digest.nullable(),
  fs_hash_baseline: Digest.nullable(),
  fs_hash_match: z.boolean().nullable(),
  open_fd_count: z.int().nonnegative().nullable(),
  open_fd_count_baseline: z.int().nonnegative().nullable(),
  vmm_api_state: VmmApiState.nullable(),
  expected_vmm_api_state: VmmApiState,
  divergence_action: z.enum(['none', 'halt']),
})
export type VerificationDetails = z.infer<typeof VerificationDetails>

export const ResetPhaseName = z.enum(['discard', 'load', 'reconnect', 'resume', 'warmup', 'verify'])
export type ResetPhaseName = z.infer<typeof ResetPhaseName>
export const ResetPhase = z.object({
  name: ResetPhaseName,
  /** Milliseconds. */
  ms: z.number().nonnegative(),
  /** Done in the standby, before anyone waited for it. */
  ahead: z.boolean(),
})
export type ResetPhase = z.infer<typeof ResetPhase>

/** The wipe's own proof: without it three healthy sources would also pass a reset that did nothing. */
export const WipeProof = z.object({
  old: z.object({ id: z.string(), exit: z.string() }).nullable(),
  new: z.object({ id: z.string() }),
  epoch: z.int().nonnegative(),
  nonce_match: z.boolean(),
  dispatches: z.int().nonnegative().nullable(),
  overlay_bytes: z.int().nonnegative().nullable(),
})
export type WipeProof = z.infer<typeof WipeProof>

/** What a reset did and found; also kept as the last reset in `status`. */
export const ResetReport = VerificationDetails.extend({
  reset_at: Timestamp,
  golden_hash: Digest.nullable(),
  verification_passed: z.boolean(),
  reset_path: BootPath,
  phases: z.array(ResetPhase),
  /** Milliseconds from the request to the verdict. */
  total_ms: z.number().nonnegative(),
  wipe: WipeProof.nullable(),
  /** Sources or proofs that disagreed or were silent: `wipe`, `fs_hash`, `open_fd_count`, `vmm_api_state`. */
  failed: z.array(z.enum(['wipe', 'fs_hash', 'open_fd_count', 'vmm_api_state'])),
  /** The image has no manifest: `fs_hash_baseline` was measured before its first boot (§4). */
  fs_hash_measured: z.literal(true).optional(),
  error: WireError.optional(),
})
export type ResetReport = z.infer<typeof ResetReport>

// ---------------------------------------------------------------- requests

const request = <K extends string, S extends z.ZodRawShape>(kind: K, shape: S) =>
  z.strictObject({ kind: z.literal(kind), request_id: Uuid, ...shape })

/** What an agent and a helper's `exec` have in common. */
export const execFields = {
  command_id: Uuid,
  tool: z.string().min(1).max(256),
  params: z
    .record(z.string(), z.json())
    .refine((params) => Buffer.byteLength(JSON.stringify(params)) <= LIMITS.paramsBytes, {
      error: 'params are longer than 1 MiB of JSON; send large data in files_in or stdin_b64',
    }),
  /** 100 … 3 600 000; queueing does not count. */
  deadline_ms: z.int().min(LIMITS.deadlineMinMs).max(LIMITS.deadlineMaxMs),
  files_in: z
    .array(FileIn)
    .max(256)
    .refine(
      (files) =>
        files.reduce((sum, { data_b64 }) => sum + Buffer.byteLength(data_b64, 'base64'), 0) <=
        LIMITS.filesBytes,
      { error: 'the files are larger than 8 MiB together; send less, or in several dispatches' },
    )
    .optional(),
  files_out: z.array(z.string().min(1).max(4096)).max(256).optional(),
  stdin_b64: Base64.max(4 * Math.ceil(LIMITS.filesBytes / 3), {
    error: 'stdin is longer than 8 MiB; send less, or in several dispatches',
  }).optional(),
  cwd: z.string().optional(),
  env: z.record(z.string(), z.string()).optional(),
}

export const ExecRequest = request('exec', execFields)
export type ExecRequest = z.infer<typeof ExecRequest>
export const ResetRequest = request('reset', {})
export const SaveStateRequest = request('save_state', { out_path: z.string() })
export const RestoreStateRequest = request('restore_state', { from_path: z.string() })
export const VerifyRequest = request('verify', {
  fs_hash_baseline: Digest,
  open_fd_count_baseline: z.int().nonnegative(),
  expected_vmm_api_state: VmmApiState,
})
export const ShutdownRequest = request('shutdown', {})
export const StatusRequest = request('status', {})
export const QueryRequest = request('query', { query_kind: QueryKind })
export const CancelRequest = request('cancel', { command_id: Uuid })

export const HelperRequest = z.discriminatedUnion('kind', [
  ExecRequest,
  ResetRequest,
  SaveStateRequest,
  RestoreStateRequest,
  VerifyRequest,
  ShutdownRequest,
  StatusRequest,
  QueryRequest,
  CancelRequest,
])
export type HelperRequest = z.infer<typeof HelperRequest>

// ---------------------------------------------------------------- responses

export const BootResult = z.object({
  kind: z.literal('boot_result'),
  ok: z.boolean(),
  vsock_cid: z.int().optional(),
  vmm_api_state: VmmApiState,
  boot_path: BootPath,
  ts: Timestamp,
  error: WireError.optional(),
  /** [ours] Why a golden snapshot was not used, in one sentence; absent when it was. */
  cold_boot_reason: z.string().optional(),
  /** [ours] Milliseconds by phase of this boot. */
  phases: z.array(z.object({ name: z.string(), ms: z.number() })).optional(),
})
export type BootResult = z.infer<typeof BootResult>

const response = <K extends string, S extends z.ZodRawShape>(kind: K, shape: S) =>
  z.object({ kind: z.literal(kind), request_id: Uuid, ...shape })

export const ExecResponse = response('exec_response', {
  command_id: Uuid,
  exit_code: z.int(),
  stdout: z.string(),
  stderr: z.string(),
  evidence_hash: Digest.nullable(),
  error: WireError.optional(),
  epoch: z.int().nonnegative().optional(),
  duration_ms: z.number().nonnegative().optional(),
  truncated: PerStream(z.boolean()).optional(),
  stdout_bytes: z.int().nonnegative().optional(),
  stderr_bytes: z.int().nonnegative().optional(),
  encoding: PerStream(TextEncoding).optional(),
  files: z.array(FileOut).optional(),
  /** Where the chain of this dispatch was kept, absolute. */
  evidence_path: z.string().nullable().optional(),
  /** [ours] Of the one-shot `exec` alone, which resets before it prints: what that reset found. */
  reset: ResetReport.optional(),
})
export type ExecResponse = z.infer<typeof ExecResponse>

export const ResetResponse = ResetReport.extend({ kind: z.literal('reset_response'), request_id: Uuid })
export type ResetResponse = z.infer<typeof ResetResponse>
export const SaveStateResponse = response('save_state_response', {
  ok: z.boolean(),
  out_path: z.string(),
  bytes_written: z.int().nonnegative().optional(),
  error: WireError.optional(),
})
export const RestoreStateResponse = response('restore_state_response', {
  ok: z.boolean(),
  vmm_api_state: VmmApiState,
  error: WireError.optional(),
})
export const VerifyResponse = VerificationDetails.extend({
  kind: z.literal('verify_response'),
  request_id: Uuid,
  error: WireError.optional(),
})
export type VerifyResponse = z.infer<typeof VerifyResponse>
export const ShutdownResponse = response('shutdown_response', { ok: z.boolean() })
export const QueryResponse = response('query_response', {
  query_kind: QueryKind,
  result: QueryResult.optional(),
  error: WireError.optional(),
})
export type QueryResponse = z.infer<typeof QueryResponse>
export const CancelResponse = response('cancel_response', {
  command_id: Uuid,
  /** False when no such command was running. */
  cancelled: z.boolean(),
  error: WireError.optional(),
})
export type CancelResponse = z.infer<typeof CancelResponse>

/** One of the four vsock channels, as the helper counts it on the host side. */
export const ChannelStatus = z.object({
  port: Port,
  state: z.enum(['closed', 'connecting', 'open', 'stalled']),
  /** Milliseconds of the last Ping → Pong. */
  rtt_ms: z.number().nonnegative().nullable(),
  bytes_in: z.int().nonnegative(),
  bytes_out: z.int().nonnegative(),
  frames_in: z.int().nonnegative(),
  frames_out: z.int().nonnegative(),
  reconnects: z.int().nonnegative(),
  last_error: z.string().nullable(),
})
export type ChannelStatus = z.infer<typeof ChannelStatus>

export const StandbyStatus = z.object({
  state: z.enum(['none', 'preparing', 'ready', 'failed']),
  /** Milliseconds that the last preparation took. */
  prepare_ms: z.number().nonnegative().nullable(),
  since: Timestamp,
  message: z.string().optional(),
})
export type StandbyStatus = z.infer<typeof StandbyStatus>

export const HelperState = z.enum(['booting', 'ready', 'dispatching', 'resetting', 'failed', 'stopping'])
export type HelperState = z.infer<typeof HelperState>

/** Facts about the VM, from what the helper already knows: answering never asks the guest. */
export const HelperStatus = z.object({
  state: HelperState,
  backend: Backend,
  accelerator: Accelerator,
  vmm_api_state: VmmApiState,
  boot_path: BootPath.nullable(),
  boot_ms: z.number().nonnegative().nullable(),
  /** [ours] As in the boot result; the app fills it in. */
  cold_boot_reason: z.string().optional(),
  booted_at: Timestamp.nullable(),
  cpus: z.int().positive(),
  memory_mib: z.int().positive(),
  /** Identity of the VM: its process under QEMU. */
  vm_id: z.string().nullable(),
  vsock_cid: z.int().optional(),
  /** Resident bytes of the VM's process on the host. */
  host_rss_bytes: z.int().nonnegative().nullable(),
  epoch: z.int().nonnegative().nullable(),
  /** Null for an image without a manifest. */
  image: z
    .object({ image_digest: Digest, image_version: z.string(), recipe: z.string(), rootfs_digest: Digest })
    .nullable(),
  guest: z
    .object({
      bytes_used: z.int(),
      bytes_total: z.int(),
      processes: z.int(),
      load: z.number(),
      overlay_bytes: z.int(),
      /** Guest clock before the last Resume set it, against the host's. */
      clock_step_ms: z.number().nullable(),
      at: Timestamp,
    })
    .nullable(),
  channels: z.array(ChannelStatus),
  last_reset: ResetReport.nullable(),
  golden: z
    .object({
      golden_hash: Digest,
      created_at: Timestamp,
      bytes: z.int().nonnegative(),
      /** [ours] Counted in its first standby; null before, absent from a helper that tells it with resets only. */
      open_fd_count_baseline: z.int().nonnegative().nullable().optional(),
    })
    .nullable(),
  standby: StandbyStatus,
  exec: z.object({ command_id: Uuid, tool: z.string(), started_at: Timestamp }).nullable(),
})
export type HelperStatus = z.infer<typeof HelperStatus>

export const StatusResponse = HelperStatus.extend({ kind: z.literal('status_response'), request_id: Uuid })
export type StatusResponse = z.infer<typeof StatusResponse>

/** A request that could not be taken at all, where its id could be read. */
export const ErrorResponse = response('error_response', { error: WireError })
export type ErrorResponse = z.infer<typeof ErrorResponse>

export const HelperResponse = z.discriminatedUnion('kind', [
  ExecResponse,
  ResetResponse,
  SaveStateResponse,
  RestoreStateResponse,
  VerifyResponse,
  ShutdownResponse,
  StatusResponse,
  QueryResponse,
  CancelResponse,
  ErrorResponse,
])
export type HelperResponse = z.infer<typeof HelperResponse>

// ---------------------------------------------------------------- events

const event = <E extends string, S extends z.ZodRawShape>(name: E, shape: S) =>
  z.object({
    kind: z.literal('event'),
    event: z.literal(name),
    vmm_api_state: VmmApiState.optional(),
    message: z.string().optional(),
    ts: Timestamp,
    ...shape,
  })

export const ExecOutputEvent = event('exec_output', {
  command_id: Uuid,
  stream: OutputStream,
  data_b64: Base64,
  /** Evidence sequence number of the chunk that carried it. */
  seq: z.int().positive(),
})
export type ExecOutputEvent = z.infer<typeof ExecOutputEvent>

export const HelperEvent = z.discriminatedUnion('event', [
  event('vmm_state_changed', {}),
  event('guest_unreachable', {}),
  event('helper_panic', {}),
  ExecOutputEvent,
  event('channel_changed', { channel: ChannelStatus }),
  event('reset_phase', { phase: ResetPhase }),
  event('standby_changed', { standby: StandbyStatus }),
  /** `source` is `helper` or `console`; guest text is hostile: escape before showing. */
  event('log', { source: z.enum(['helper', 'console']), level: z.enum(['debug', 'info', 'warn', 'error']) }),
  event('protocol_error', {}),
])
export type HelperEvent = z.infer<typeof HelperEvent>

/** Any line on a helper's stdout. */
export const HelperMessage = z.union([BootResult, HelperEvent, HelperResponse])
export type HelperMessage = z.infer<typeof HelperMessage>
