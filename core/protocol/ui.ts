import * as z from 'zod'
import { ClientsAction } from './clients.ts'
import { Base64, Digest, OutputStream, TextEncoding, Timestamp, Uuid } from './common.ts'
import { WireError } from './errors.ts'
import { HelperStatus, ResetReport } from './helper.ts'
import { PerStream } from './guest.ts'
import { ToolSpec } from './image.ts'
import { LogCursor, LogSource } from './logs.ts'
import { SettingsPatch } from './settings.ts'

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
  /** Nothing was ever dispatched from this state directory, and nobody was given access to it. */
  first_run: z.boolean(),
  /** Milliseconds that the median of each kind of reset is held against; a person may set them. */
  reset_target_ms: z.object({ fast_snapshot: z.int().positive(), cold_boot: z.int().positive() }),
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
  /** Whether anybody sees the page. While nobody does, no snapshots come; output goes on, it comes only once. */
  z.strictObject({ id: z.int(), action: z.literal('attend'), seen: z.boolean() }),
  /** Answers with a SettingsView. */
  z.strictObject({ id: z.int(), action: z.literal('settings'), set: SettingsPatch.optional() }),
  /** Answers with a ClientsAnswer. */
  z.strictObject({ id: z.int(), action: z.literal('clients'), what: ClientsAction }),
  /** Answers with a LogPage: the end of the log, or what comes after or before a place in it. */
  z.strictObject({
    id: z.int(),
    action: z.literal('logs'),
    source: LogSource,
    after: LogCursor.optional(),
    before: LogCursor.optional(),
  }),
  /** From here on `log_grew` tells when there is more in this log; null ends it. One log at a time. */
  z.strictObject({ id: z.int(), action: z.literal('follow_log'), source: LogSource.nullable() }),
  /** Answers with a Diagnosis. */
  z.strictObject({ id: z.int(), action: z.literal('diagnose') }),
  /** Answers with a Bundle. */
  z.strictObject({ id: z.int(), action: z.literal('bundle') }),
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
  /** At most four a second; what is new is asked for with `logs`. */
  z.object({ type: z.literal('log_grew'), source: LogSource }),
  z.object({
    type: z.literal('reply'),
    id: z.int(),
    ok: z.boolean(),
    result: z.json().optional(),
    error: WireError.optional(),
  }),
])
export type UiMessage = z.infer<typeof UiMessage>
