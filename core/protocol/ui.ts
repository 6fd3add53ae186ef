import { z } from 'zod'
import { Base64, Digest, OutputStream, TextEncoding, Timestamp, Uuid } from './common.ts'
import { WireError } from './errors.ts'
import { HelperStatus, ResetReport } from './helper.ts'
import { PerStream } from './guest.ts'
import { ToolSpec } from './image.ts'

/** What a person's window gets, over IPC in the app and over a WebSocket headless (§5). */

/** The one state machine; tray, window, CLI and MCP all show this and derive nothing. */
export const AppState = z.enum([
  'stopped',
  'starting',
  'ready',
  'dispatching',
  'resetting',
  'degraded',
  'failed',
  'stopping',
])
export type AppState = z.infer<typeof AppState>

export const DispatchRecord = z.object({
  command_id: Uuid,
  tool: z.string(),
  client: z.string(),
  queued_at: Timestamp,
  state: z.enum(['queued', 'running', 'resetting', 'done']),
  exit_code: z.int().nullable(),
  duration_ms: z.number().nullable(),
  truncated: PerStream(z.boolean()).nullable(),
  evidence_hash: Digest.nullable(),
  /** First 4 KiB of each stream, for the list; hostile text. */
  stdout_head: z.string(),
  stderr_head: z.string(),
  encoding: PerStream(TextEncoding).nullable(),
  reset_passed: z.boolean().nullable(),
  error: WireError.nullable(),
})
export type DispatchRecord = z.infer<typeof DispatchRecord>

/** Why dispatches are refused, as it is on disk (§4). */
export const Degraded = z.object({
  since: Timestamp,
  code: z.enum(['RESET_VERIFICATION_DIVERGENCE', 'RESET_VERIFICATION_TIMEOUT']),
  /** Which sources disagreed or were silent. */
  sources: z.array(z.string()),
  message: z.string(),
  report: ResetReport.nullable(),
})
export type Degraded = z.infer<typeof Degraded>

export const AppSnapshot = z.object({
  version: z.string(),
  state: AppState,
  /** One sentence for a person. */
  message: z.string(),
  since: Timestamp,
  error: WireError.nullable(),
  degraded: Degraded.nullable(),
  helper: HelperStatus.nullable(),
  /** Newest first, at most 50. */
  resets: z.array(ResetReport),
  dispatches: z.array(DispatchRecord),
  queue_length: z.int().nonnegative(),
  tools: z.array(ToolSpec),
  /** Restarts of the helper since the app started, and why the last one. */
  helper_restarts: z.int().nonnegative(),
  last_crash: z.string().nullable(),
})
export type AppSnapshot = z.infer<typeof AppSnapshot>

/** Page → app. The first message is `auth`; everything else before it closes the connection. */
export const UiRequest = z.discriminatedUnion('action', [
  /** Exactly one of the two: the single-use token of the address, or the session that its use gave. */
  z
    .strictObject({
      action: z.literal('auth'),
      token: z.string().min(1).max(256).optional(),
      session: z.string().min(1).max(256).optional(),
    })
    .refine((auth) => (auth.token === undefined) !== (auth.session === undefined), {
      message: 'auth takes a token or a session, one of them',
    }),
  z.strictObject({ id: z.int(), action: z.literal('start') }),
  z.strictObject({ id: z.int(), action: z.literal('stop') }),
  z.strictObject({ id: z.int(), action: z.literal('reset') }),
  z.strictObject({ id: z.int(), action: z.literal('recover'), reason: z.string().min(3).max(500) }),
  z.strictObject({
    id: z.int(),
    action: z.literal('run'),
    /** Chosen by the page, so that it can show the output while the command runs; made by the app when absent. */
    command_id: Uuid.optional(),
    tool: z.string(),
    params: z.record(z.string(), z.json()),
    deadline_ms: z.int().min(100).max(3_600_000),
  }),
  z.strictObject({ id: z.int(), action: z.literal('cancel'), command_id: Uuid }),
  z.strictObject({ id: z.int(), action: z.literal('verify_evidence'), command_id: Uuid }),
])
export type UiRequest = z.infer<typeof UiRequest>
/** What a page may ask once it is let in, whatever carries it; over IPC there is no `auth` and nothing else. */
export type PageRequest = Exclude<UiRequest, { action: 'auth' }>

/** App → page. `run` answers with the AgentExecResponse as its result. */
export const UiMessage = z.discriminatedUnion('type', [
  /** After `auth`: lets a page whose socket was closed come back. Known to this run of the app only. */
  z.object({ type: z.literal('session'), session: z.string().min(1).max(256) }),
  z.object({ type: z.literal('snapshot'), snapshot: AppSnapshot }),
  z.object({
    type: z.literal('output'),
    command_id: Uuid,
    stream: OutputStream,
    data_b64: Base64,
    seq: z.int().positive(),
  }),
  z.object({
    type: z.literal('reply'),
    id: z.int(),
    ok: z.boolean(),
    result: z.json().optional(),
    error: WireError.optional(),
  }),
])
export type UiMessage = z.infer<typeof UiMessage>
