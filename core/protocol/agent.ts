import * as z from 'zod'
import { ClientsAction, ClientsAnswer } from './clients.ts'
import { Accelerator, Backend, Digest, Timestamp, Uuid } from './common.ts'
import { WireError } from './errors.ts'
import { QueryKind } from './guest.ts'
import {
  CancelResponse,
  ErrorResponse,
  ExecOutputEvent,
  ExecResponse,
  QueryResponse,
  ResetResponse,
  VerificationDetails,
  VerifyResponse,
  execFields,
} from './helper.ts'
import { Settings, SettingsPatch } from './settings.ts'
import { AppSnapshot } from './ui.ts'

/** `agent.sock` and `control.sock` (§5): NDJSON, one JSON object a line. */

const request = <K extends string, S extends z.ZodRawShape>(kind: K, shape: S) =>
  z.strictObject({ kind: z.literal(kind), request_id: Uuid, ...shape })
const response = <K extends string, S extends z.ZodRawShape>(kind: K, shape: S) =>
  z.object({ kind: z.literal(kind), request_id: Uuid, ...shape })

/** First line of a connection, within 2 s and 4 KiB. `client` names the caller and must be the token's. */
export const HelloRequest = request('hello', {
  token: z.string().min(1).max(256),
  client: z.string().min(1).max(64),
})
export const HelloResponse = response('hello_response', {
  ok: z.literal(true),
  version: z.string(),
  backend: Backend.nullable(),
  accelerator: Accelerator.nullable(),
})

export const AgentRequest = z.discriminatedUnion('kind', [
  HelloRequest,
  request('exec', execFields),
  request('verify', {}),
  request('reset', {}),
  request('status', {}),
  request('query', { query_kind: QueryKind }),
  request('cancel', { command_id: Uuid }),
  /** From here on this client's `exec_output` and the app's state changes come as events. */
  request('subscribe', {}),
])
export type AgentRequest = z.infer<typeof AgentRequest>

/** The verdict of the reset that followed a dispatch. */
export const SandboxResetState = z.object({
  reset_at: Timestamp,
  golden_hash: Digest.nullable(),
  verification_passed: z.boolean(),
  verification_details: VerificationDetails,
  /** Milliseconds that the agent waited for it. */
  reset_ms: z.number().nonnegative(),
  error: WireError.optional(),
})
export type SandboxResetState = z.infer<typeof SandboxResetState>

export const AgentExecResponse = ExecResponse.omit({ reset: true }).extend({
  /** Null when nothing was dispatched (the request was refused before). */
  sandbox_reset_state: SandboxResetState.nullable(),
  /** Hash of the audit entry of this dispatch. */
  audit_head: Digest.nullable(),
  /** Milliseconds spent in the queue. */
  queued_ms: z.number().nonnegative(),
})
export type AgentExecResponse = z.infer<typeof AgentExecResponse>

export const AgentStatusResponse = response('status_response', { snapshot: AppSnapshot })
export const SubscribeResponse = response('subscribe_response', { ok: z.literal(true) })

export const AgentResponse = z.discriminatedUnion('kind', [
  HelloResponse,
  AgentExecResponse,
  VerifyResponse,
  ResetResponse,
  AgentStatusResponse,
  QueryResponse,
  CancelResponse,
  SubscribeResponse,
  ErrorResponse,
])
export type AgentResponse = z.infer<typeof AgentResponse>

/** Events on agent.sock and control.sock. */
export const AgentEvent = z.discriminatedUnion('event', [
  ExecOutputEvent,
  z.object({
    kind: z.literal('event'),
    event: z.literal('state_changed'),
    snapshot: AppSnapshot,
    ts: Timestamp,
  }),
])
export type AgentEvent = z.infer<typeof AgentEvent>

/** What only a person at this machine may ask: `control.sock`, beside everything an agent may. */
export const ControlRequest = z.discriminatedUnion('kind', [
  ...AgentRequest.options,
  /** Starts the VM of a running app. */
  request('up', {}),
  /** Stops the VM; with `quit` the app too. */
  request('down', { quit: z.boolean() }),
  /** Leaves degraded mode; audited. */
  request('recover', { reason: z.string().min(3).max(500) }),
  request('settings', { set: SettingsPatch.optional() }),
  request('clients', { action: ClientsAction }),
  /** A fresh single-use UI address. */
  request('open', {}),
  request('audit_verify', {}),
  /** Recomputes the stored chain of one dispatch. */
  request('evidence_verify', { command_id: Uuid }),
])
export type ControlRequest = z.infer<typeof ControlRequest>

export const AuditVerdict = z.object({
  ok: z.boolean(),
  entries: z.int().nonnegative(),
  head: Digest.nullable(),
  /** `torn_tail` is a crash during a write; the other two are tampering. */
  finding: z.enum(['none', 'torn_tail', 'broken_chain', 'missing_tail']),
  message: z.string(),
})
export type AuditVerdict = z.infer<typeof AuditVerdict>

export const EvidenceVerdict = z.object({
  ok: z.boolean(),
  command_id: Uuid,
  evidence_hash: Digest.nullable(),
  recomputed: Digest.nullable(),
  chunks: z.int().nonnegative(),
  message: z.string(),
})
export type EvidenceVerdict = z.infer<typeof EvidenceVerdict>

export const ControlResponse = z.discriminatedUnion('kind', [
  ...AgentResponse.options,
  response('up_response', { ok: z.literal(true) }),
  response('down_response', { ok: z.literal(true) }),
  response('recover_response', { ok: z.literal(true) }),
  response('settings_response', { settings: Settings, restart_needed: z.boolean() }),
  response('clients_response', ClientsAnswer.shape),
  response('open_response', { url: z.url() }),
  response('audit_verify_response', { verdict: AuditVerdict }),
  response('evidence_verify_response', { verdict: EvidenceVerdict }),
])
export type ControlResponse = z.infer<typeof ControlResponse>
