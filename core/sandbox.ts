import { setTimeout as sleep } from 'node:timers/promises'
import type { HelperSupervisor } from './helper/index.ts'
import { IntegrityMonitor, type Baselines } from './integrity.ts'
import {
  BsmError,
  SandboxBootError,
  SandboxNotAvailableError,
  SandboxResetDivergenceError,
  SandboxResetError,
  SandboxToolTimeoutError,
  type Backend,
  type HelperStatus,
  type QueryKind,
  type QueryResponse,
  type ResetReport,
  type SandboxState,
  type ToolCall,
  type ToolOutcome,
  type VerifyResponse,
} from './protocol/index.ts'

/** The Sandbox in TypeScript (protocol §5), over a supervised helper. */

export interface BootConfig {
  readonly kernel: string
  readonly rootfs: string
  readonly initrd: string
  readonly cmdline: string
  readonly cpus: number
  readonly memoryMib: number
  readonly stateDir: string
  /** Digest of the rootfs in the image manifest: what every reset is checked against. */
  readonly rootfsDigest: string
}

/** Milliseconds that a helper gets beyond what was asked of it. */
export interface SandboxDeadlines {
  /** Beyond the tool's deadline: killing it, and the rest of its evidence. */
  readonly execGraceMs: number
  /** A reset may need a standby, and its retry another one. */
  readonly resetMs: number
  readonly verifyMs: number
  readonly quickMs: number
}

export const SANDBOX_DEADLINES: SandboxDeadlines = {
  execGraceMs: 30_000,
  resetMs: 120_000,
  verifyMs: 30_000,
  quickMs: 10_000,
}

/** How often a baseline that is being measured is asked for. */
const BASELINE_LOOK_MS = 200

export class HelperSandbox {
  readonly backend: Backend = process.platform === 'darwin' ? 'vz' : 'qemu'
  readonly #supervisor: HelperSupervisor
  readonly #deadlines: SandboxDeadlines
  readonly #monitor = new IntegrityMonitor()
  #config: BootConfig | null = null
  #resetting = false

  constructor(supervisor: HelperSupervisor, deadlines: SandboxDeadlines = SANDBOX_DEADLINES) {
    this.#supervisor = supervisor
    this.#deadlines = deadlines
  }

  state(): SandboxState {
    switch (this.#supervisor.state.kind) {
      case 'stopped':
      case 'stopping':
        return 'not_booted'
      case 'starting':
      case 'restarting':
        return 'booting'
      case 'failed':
        return 'failed'
      case 'ready':
        return this.#resetting ? 'resetting' : 'ready'
    }
  }

  /** Idempotent; a second boot with another config is an error. Throws {@link SandboxBootError}. */
  async boot(config: BootConfig): Promise<void> {
    const { kind } = this.#supervisor.state
    const over = kind === 'stopped' || kind === 'failed'
    if (!over && this.#config !== null && bootArgs(this.#config).join('\0') !== bootArgs(config).join('\0'))
      throw new SandboxBootError('BAD_REQUEST', 'app', 'The VM runs with another configuration.', {
        nextStep: 'Stop it first: `bsm down`, then `bsm up`.',
      })
    this.#config = config
    try {
      await this.#supervisor.start(bootArgs(config))
    } catch (error) {
      const { code, layer, message, nextStep, cause } = BsmError.from(error, 'helper')
      throw new SandboxBootError(code, layer, message, {
        ...(nextStep === undefined ? {} : { nextStep }),
        cause,
      })
    }
  }

  /** To be called whenever a helper became ready: its baselines are its own. */
  booted(): void {
    if (this.#config === null)
      throw new BsmError('INTERNAL_BUG', 'app', 'A VM came up that nobody asked for.')
    this.#monitor.begin(this.#config.rootfsDigest)
  }

  /**
   * Runs one tool; a tool that fails is an outcome with its exit code, and an outcome with `error` says why
   * the sandbox stopped it. Throws {@link SandboxToolTimeoutError} at the deadline.
   */
  async executeTool(call: ToolCall): Promise<ToolOutcome> {
    const response = await this.#available(() =>
      this.#supervisor.request<'exec'>(
        { kind: 'exec', ...call },
        call.deadline_ms + this.#deadlines.execGraceMs,
      ),
    )
    const { kind: _kind, request_id: _id, ...outcome } = response
    if (outcome.error?.code === 'SANDBOX_TOOL_TIMEOUT')
      throw new SandboxToolTimeoutError(outcome.error.message, outcome)
    return outcome
  }

  /** Asks the helper to kill a running tool. False when it was not running. */
  async cancel(commandId: string): Promise<boolean> {
    const body = { kind: 'cancel' as const, command_id: commandId }
    return (await this.#supervisor.request<'cancel'>(body, this.#deadlines.quickMs)).cancelled
  }

  /**
   * Replaces the VM and judges the proof. Throws {@link SandboxResetDivergenceError} when it does not hold,
   * {@link SandboxResetError} when the reset did not happen.
   */
  async reset(): Promise<ResetReport> {
    this.#resetting = true
    try {
      return this.#judged(await this.#requestReset())
    } finally {
      this.#resetting = false
    }
  }

  async #requestReset(): Promise<ResetReport> {
    if (this.#supervisor.state.kind !== 'ready')
      throw new SandboxResetError(
        'RESET_FAILED',
        'The helper ended, and its VM with it, before the wipe.',
        null,
        {
          nextStep: 'The next VM is made from verified parts; see `bsm status`.',
        },
      )
    try {
      const response = await this.#supervisor.request<'reset'>({ kind: 'reset' }, this.#deadlines.resetMs)
      const { kind: _kind, request_id: _id, ...report } = response
      return report
    } catch (error) {
      const known = BsmError.from(error, 'helper')
      if (known.code === 'RESET_VERIFICATION_DIVERGENCE' || known.code === 'RESET_VERIFICATION_TIMEOUT')
        throw new SandboxResetDivergenceError(known.code, known.message, [], null)
      if (known.code === 'DEGRADED')
        throw new SandboxResetDivergenceError('RESET_VERIFICATION_DIVERGENCE', known.message, [], null)
      throw new SandboxResetError(known.code, known.message, null, { cause: known })
    }
  }

  #judged(report: ResetReport): ResetReport {
    const verdict = this.#monitor.judge(report)
    switch (verdict.kind) {
      case 'passed':
        return report
      case 'diverged':
        throw new SandboxResetDivergenceError(
          'RESET_VERIFICATION_DIVERGENCE',
          verdict.message,
          verdict.sources,
          report,
        )
      case 'silent':
        throw new SandboxResetDivergenceError(
          'RESET_VERIFICATION_TIMEOUT',
          verdict.message,
          verdict.sources,
          report,
        )
      case 'failed':
        throw new SandboxResetError(report.error?.code ?? 'RESET_FAILED', verdict.message, report)
    }
  }

  /**
   * Reads the three sources of the running VM against our baselines. Throws
   * {@link SandboxResetDivergenceError} when one contradicts them. Waits for the baselines after a boot.
   */
  async verify(): Promise<VerifyResponse> {
    const baselines = await this.#baselines()
    const response = await this.#available(() =>
      this.#supervisor.request<'verify'>({ kind: 'verify', ...baselines }, this.#deadlines.verifyMs),
    )
    const sources = this.#monitor.contradictions(response)
    if (sources.length > 0)
      throw new SandboxResetDivergenceError(
        'RESET_VERIFICATION_DIVERGENCE',
        `A verification found that the running VM contradicts its baselines: ${sources.join(', ')}.`,
        sources,
        null,
      )
    return response
  }

  /** Before the first reset they are the helper's to tell, once its first standby is there: soon after a boot. */
  async #baselines(): Promise<Baselines> {
    const until = performance.now() + this.#deadlines.verifyMs
    for (;;) {
      const known = this.#monitor.baselines
      if (known !== null) return known
      const { golden } = await this.#available(() => this.status())
      const count = golden?.open_fd_count_baseline
      if (golden !== null && typeof count === 'number') this.#monitor.learnBaseline(golden.golden_hash, count)
      else if ((golden !== null && count === undefined) || performance.now() > until) throw noBaseline()
      else await sleep(BASELINE_LOOK_MS)
    }
  }

  async query(kind: QueryKind): Promise<QueryResponse> {
    return this.#available(() =>
      this.#supervisor.request<'query'>({ kind: 'query', query_kind: kind }, this.#deadlines.quickMs),
    )
  }

  async status(): Promise<HelperStatus> {
    const {
      kind: _kind,
      request_id: _id,
      ...status
    } = await this.#supervisor.request<'status'>({ kind: 'status' }, this.#deadlines.quickMs)
    return status
  }

  /** Idempotent. */
  async shutdown(): Promise<void> {
    // Before the wait: during it, the next boot may already be asked for.
    this.#config = null
    await this.#supervisor.stop()
  }

  async #available<T>(ask: () => Promise<T>): Promise<T> {
    if (this.#supervisor.state.kind === 'ready') return ask()
    throw new SandboxNotAvailableError('VM_LIFECYCLE_ERROR', 'app', 'The VM is not running.', {
      nextStep: 'Start it with `bsm up`.',
    })
  }
}

const noBaseline = (): SandboxNotAvailableError =>
  new SandboxNotAvailableError('TIMEOUT', 'helper', 'The helper has not told its baselines yet.', {
    nextStep: 'Run `bsm reset`, which measures them, then verify again.',
  })

const bootArgs = (config: BootConfig): string[] => [
  ...['--kernel', config.kernel],
  ...['--rootfs', config.rootfs],
  ...['--initrd', config.initrd],
  ...['--cmdline', config.cmdline],
  ...['--cpus', String(config.cpus)],
  ...['--memory-mib', String(config.memoryMib)],
  ...['--state-dir', config.stateDir],
  ...['--socket', 'none'],
]
