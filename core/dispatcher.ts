import { randomUUID } from 'node:crypto'
import type { AuditLog } from './audit/index.ts'
import type { Clock } from './clock.ts'
import type { EvidenceStore } from './evidence/index.ts'
import type { Logger } from './log.ts'
import { garbageCollector } from './protocol/garbage.ts'
import {
  BsmError,
  canonicalJson,
  SandboxResetDivergenceError,
  SandboxResetError,
  SandboxToolTimeoutError,
  sha256,
  type AgentExecResponse,
  type DispatchRecord,
  type ResetReport,
  type SandboxResetState,
  type ToolCall,
  type ToolOutcome,
  type VerificationDetails,
  type VerifyResponse,
  type WireError,
} from './protocol/index.ts'
import { isSameId, reused, type DispatchQueue } from './queue.ts'
import type { HelperSandbox } from './sandbox.ts'
import type { Activity, StateStore } from './state.ts'

export type ExecAnswer = Omit<AgentExecResponse, 'kind' | 'request_id'>
export type VerifyAnswer = Omit<VerifyResponse, 'kind' | 'request_id'>

interface DispatcherParts {
  readonly sandbox: HelperSandbox
  readonly queue: DispatchQueue
  readonly audit: AuditLog
  readonly evidence: EvidenceStore
  readonly store: StateStore
  readonly clock: Clock
  readonly logger: Logger
  /** Why nothing can be dispatched now, or null. */
  readonly refusal: () => BsmError | null
  readonly onActivity: (activity: Activity) => void
  /** Puts degraded mode on disk before it returns. */
  readonly degrade: (error: SandboxResetDivergenceError) => void
  /** The helper could not reset: it, and its VMs with it, are replaced. */
  readonly replaceHelper: (why: BsmError) => void
}

/** The guest could not run it (protocol §3); also for what never reached a guest. */
const NOT_RUN = 254
/** Characters of each stream kept in a snapshot; a multiple of 4, for base64. */
const HEAD_LENGTH = 4096
/** A cancelled tool that is still not answered for after this long is left to the reset. */
const CANCEL_MS = 15_000

/** Queue, run, always wipe, answer: the way of every dispatch (protocol §4, §5). */
export class Dispatcher {
  readonly #parts: DispatcherParts
  readonly #wiped = garbageCollector()
  #current: { readonly commandId: string; readonly client: string } | null = null

  constructor(parts: DispatcherParts) {
    this.#parts = parts
  }

  /** The dispatch whose traces may be in the VM: from its start until its wipe has settled. */
  get current(): { readonly commandId: string; readonly client: string } | null {
    return this.#current
  }

  /** Never rejects: what was refused is an answer with its error and without a reset. */
  async exec(client: string, call: ToolCall, signal?: AbortSignal): Promise<ExecAnswer> {
    const { queue, store, clock } = this.#parts
    const bytes = JSON.stringify(call).length
    const refusal = this.#refuse(client, call, bytes)
    if (refusal !== null) return notRun(call, refusal, 0)
    const queuedAt = clock.monotonic()
    const waited = (): number => clock.monotonic() - queuedAt
    store.recordDispatch(queuedRecord(call, client, clock.now()))
    try {
      return await queue.submit(
        client,
        call.command_id,
        (own) => this.#dispatch(client, call, waited(), own),
        { signal, bytes },
      )
    } catch (error) {
      const known = BsmError.from(error, 'app')
      store.updateDispatch(call.command_id, { state: 'done', error: known.toWire() })
      return notRun(call, known, waited())
    }
  }

  #refuse(client: string, call: ToolCall, bytes: number): BsmError | null {
    const { queue, evidence, store, refusal } = this.#parts
    const id = call.command_id
    const used =
      evidence.has(id) || store.snapshot.dispatches.some((record) => isSameId(record.command_id, id))
    return refusal() ?? (used ? reused(id) : queue.refusal(client, id, bytes))
  }

  async #dispatch(
    client: string,
    call: ToolCall,
    queuedMs: number,
    signal: AbortSignal,
  ): Promise<ExecAnswer> {
    const { audit, store, onActivity } = this.#parts
    onActivity({ kind: 'dispatching', tool: call.tool, client })
    this.#current = { commandId: call.command_id, client }
    try {
      // Before anything runs: what cannot be recorded is not run.
      audit.append('dispatch_started', startedFacts(client, call))
      store.updateDispatch(call.command_id, { state: 'running' })
      const outcome = await this.#run(call, signal)
      store.updateDispatch(call.command_id, { ...resultOf(outcome), state: 'resetting' })
      const [reset, doubt] = await Promise.all([
        this.#wipe(`Wiping the VM after ${call.tool}.`),
        this.#checkEvidence(call, outcome),
      ])
      return this.#answer(client, { ...outcome, ...withError(outcome.error ?? doubt) }, reset, queuedMs)
    } finally {
      this.#current = null
      onActivity({ kind: 'idle' })
    }
  }

  async #run(call: ToolCall, signal: AbortSignal): Promise<ToolOutcome> {
    const { sandbox } = this.#parts
    let giveUp: NodeJS.Timeout | undefined
    const abandoned = new Promise<never>((_resolve, reject) => {
      const onAbort = (): void => {
        sandbox.cancel(call.command_id).catch(() => undefined)
        giveUp = setTimeout(() => reject(uncancellable()), CANCEL_MS)
      }
      if (signal.aborted) onAbort()
      else signal.addEventListener('abort', onAbort, { once: true })
    })
    try {
      const outcome = await Promise.race([sandbox.executeTool(call), abandoned])
      return outcome.error === undefined ? outcome : { ...outcome, error: cutOffBy(signal) ?? outcome.error }
    } catch (error) {
      if (error instanceof SandboxToolTimeoutError) return error.outcome
      return noOutcome(call, cutOffBy(signal) ?? BsmError.from(error, 'helper').toWire())
    } finally {
      clearTimeout(giveUp)
    }
  }

  /** Compares the stored chain with the response; the wipe goes on meanwhile. */
  async #checkEvidence(call: ToolCall, outcome: ToolOutcome): Promise<WireError | undefined> {
    const { evidence } = this.#parts
    try {
      // Also what broke off may have left a chain, which counts among the kept ones.
      await evidence.added(call.command_id)
      if (outcome.evidence_hash !== null) await evidence.check(call, outcome.evidence_hash, outcome.epoch)
      return undefined
    } catch (error) {
      return BsmError.from(error, 'app').toWire()
    }
  }

  #answer(client: string, outcome: ToolOutcome, reset: SandboxResetState, queuedMs: number): ExecAnswer {
    const { store } = this.#parts
    const recorded = this.#record(client, outcome, reset)
    const error = outcome.error ?? recorded.error
    store.updateDispatch(outcome.command_id, {
      state: 'done',
      reset_passed: reset.verification_passed,
      error: error ?? null,
    })
    return {
      ...outcome,
      ...withError(error),
      sandbox_reset_state: reset,
      audit_head: recorded.head,
      queued_ms: queuedMs,
    }
  }

  #record(
    client: string,
    outcome: ToolOutcome,
    reset: SandboxResetState,
  ): { head: string | null; error?: WireError } {
    try {
      return { head: this.#parts.audit.append('dispatch', dispatchFacts(client, outcome, reset)) }
    } catch (error) {
      const known = BsmError.from(error, 'app')
      this.#parts.logger.error(known.message)
      return { head: null, error: known.toWire() }
    }
  }

  /** Queues a reset by itself. Rejects with a {@link BsmError} when there is no report. */
  reset(client: string, why = 'Wiping the VM, as asked.', signal?: AbortSignal): Promise<ResetReport> {
    return this.#inTurn(client, signal, async () => {
      const before = this.#parts.store.snapshot.resets[0]
      const state = await this.#wipe(why).finally(() => this.#parts.onActivity({ kind: 'idle' }))
      const after = this.#parts.store.snapshot.resets[0]
      this.#parts.audit.append('reset', { client, ...resetFacts(state) })
      if (after !== undefined && after !== before) return after
      throw BsmError.fromWire(state.error ?? { code: 'RESET_FAILED', message: 'The reset gave no report.' })
    })
  }

  /** Resets at once, for whoever keeps the queue closed and has waited until nothing runs. */
  async renew(why: string): Promise<void> {
    const state = await this.#wipe(why).finally(() => this.#parts.onActivity({ kind: 'idle' }))
    this.#parts.audit.append('reset', { client: 'app', ...resetFacts(state) })
  }

  /** Queues a look at the three sources; a contradiction degrades. */
  verify(client: string, signal?: AbortSignal): Promise<VerifyAnswer> {
    return this.#inTurn(client, signal, async () => {
      this.#parts.onActivity({ kind: 'resetting', why: 'Verifying the running VM.' })
      try {
        const { kind: _kind, request_id: _id, ...answer } = await this.#parts.sandbox.verify()
        return answer
      } catch (error) {
        if (error instanceof SandboxResetDivergenceError) this.#parts.degrade(error)
        throw error
      } finally {
        this.#parts.onActivity({ kind: 'idle' })
      }
    })
  }

  #inTurn<T>(client: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const refusal = this.#parts.refusal()
    if (refusal !== null) return Promise.reject(refusal)
    return this.#parts.queue.submit(client, randomUUID(), work, { signal })
  }

  /** Resets, and acts on the verdict before anyone hears of it. Never rejects. */
  async #wipe(why: string): Promise<SandboxResetState> {
    const { sandbox, store, clock, onActivity, degrade, replaceHelper } = this.#parts
    onActivity({ kind: 'resetting', why })
    const began = clock.monotonic()
    const elapsed = (): number => clock.monotonic() - began
    try {
      const report = await sandbox.reset()
      store.recordReset(report)
      return resetState(report, elapsed())
    } catch (error) {
      const known = error instanceof SandboxResetDivergenceError ? error : asResetError(error)
      const report = failedReport(known, clock.now())
      if (known instanceof SandboxResetDivergenceError) degrade(known)
      else replaceHelper(known)
      if (known.report !== null) store.recordReset(report)
      return resetState(report, elapsed())
    } finally {
      this.#wiped()
    }
  }
}

// ---------------------------------------------------------------- answers

const withError = (error: WireError | undefined): { error?: WireError } =>
  error === undefined ? {} : { error }

/** Whose VM is stopped under it gets an error of a guest that is gone, which is only how it looks from below. */
const cutOffBy = ({ reason }: AbortSignal): WireError | null =>
  reason instanceof BsmError ? reason.toWire() : null

const noOutcome = ({ command_id }: ToolCall, error: WireError): ToolOutcome => ({
  command_id,
  exit_code: NOT_RUN,
  stdout: '',
  stderr: '',
  evidence_hash: null,
  error,
})

const notRun = (call: ToolCall, error: BsmError, queuedMs: number): ExecAnswer => ({
  ...noOutcome(call, error.toWire()),
  sandbox_reset_state: null,
  audit_head: null,
  queued_ms: queuedMs,
})

const uncancellable = (): BsmError =>
  new BsmError('CANCELLED', 'helper', 'It was cancelled, and the helper did not say how it ended.')

const asResetError = (error: unknown): SandboxResetError => {
  if (error instanceof SandboxResetError) return error
  const { code, message } = BsmError.from(error, 'app')
  return new SandboxResetError(code, message, null, { cause: error })
}

const NOTHING_READ: VerificationDetails = {
  fs_hash: null,
  fs_hash_baseline: null,
  fs_hash_match: null,
  open_fd_count: null,
  open_fd_count_baseline: null,
  vmm_api_state: null,
  expected_vmm_api_state: 'running',
  divergence_action: 'none',
}

/** The report as it must be read: whatever the helper said, this reset did not pass. */
function failedReport(error: SandboxResetError | SandboxResetDivergenceError, now: Date): ResetReport {
  const diverged = error instanceof SandboxResetDivergenceError
  const base: ResetReport = error.report ?? {
    ...NOTHING_READ,
    reset_at: now.toISOString(),
    golden_hash: null,
    verification_passed: false,
    reset_path: 'fast_snapshot',
    phases: [],
    total_ms: 0,
    wipe: null,
    failed: [],
  }
  return {
    ...base,
    verification_passed: false,
    divergence_action: diverged ? 'halt' : base.divergence_action,
    failed: diverged ? (error.sources.filter(isSource) satisfies ResetReport['failed']) : base.failed,
    error: error.toWire(),
  }
}

const isSource = (source: string): source is ResetReport['failed'][number] =>
  ['wipe', 'fs_hash', 'open_fd_count', 'vmm_api_state'].includes(source)

function resetState(report: ResetReport, resetMs: number): SandboxResetState {
  return {
    reset_at: report.reset_at,
    golden_hash: report.golden_hash,
    verification_passed: report.verification_passed,
    verification_details: {
      fs_hash: report.fs_hash,
      fs_hash_baseline: report.fs_hash_baseline,
      fs_hash_match: report.fs_hash_match,
      open_fd_count: report.open_fd_count,
      open_fd_count_baseline: report.open_fd_count_baseline,
      vmm_api_state: report.vmm_api_state,
      expected_vmm_api_state: report.expected_vmm_api_state,
      divergence_action: report.divergence_action,
    },
    reset_ms: resetMs,
    ...withError(report.error),
  }
}

// ---------------------------------------------------------------- records

const queuedRecord = (call: ToolCall, client: string, now: Date): DispatchRecord => ({
  command_id: call.command_id,
  tool: call.tool,
  client,
  queued_at: now.toISOString(),
  state: 'queued',
  exit_code: null,
  duration_ms: null,
  truncated: null,
  evidence_hash: null,
  stdout_head: '',
  stderr_head: '',
  encoding: null,
  reset_passed: null,
  error: null,
})

const resultOf = (outcome: ToolOutcome): Partial<DispatchRecord> => ({
  exit_code: outcome.exit_code,
  duration_ms: outcome.duration_ms ?? null,
  truncated: outcome.truncated ?? null,
  evidence_hash: outcome.evidence_hash,
  stdout_head: headOf(outcome.stdout),
  stderr_head: headOf(outcome.stderr),
  encoding: outcome.encoding ?? null,
  error: outcome.error ?? null,
})

/** Never ends in half a surrogate pair. */
const headOf = (text: string): string => text.slice(0, HEAD_LENGTH).replace(/[\ud800-\udbff]$/, '')

const startedFacts = (client: string, call: ToolCall) => ({
  command_id: call.command_id,
  client,
  tool: call.tool,
  deadline_ms: call.deadline_ms,
  call_digest: sha256(canonicalJson(call)),
})

const dispatchFacts = (client: string, outcome: ToolOutcome, reset: SandboxResetState) => ({
  command_id: outcome.command_id,
  client,
  exit_code: outcome.exit_code,
  evidence_hash: outcome.evidence_hash,
  epoch: outcome.epoch ?? null,
  error: outcome.error?.code ?? null,
  reset: resetFacts(reset),
})

const resetFacts = (reset: SandboxResetState) => ({
  reset_at: reset.reset_at,
  passed: reset.verification_passed,
  golden_hash: reset.golden_hash,
  fs_hash: reset.verification_details.fs_hash,
  error: reset.error?.code ?? null,
})
