import {
  BsmError,
  SandboxBootError,
  SandboxNotAvailableError,
  SandboxResetDivergenceError,
  SandboxResetError,
  SandboxToolTimeoutError,
  type AgentExecResponse,
  type AppSnapshot,
  type Backend,
  type ResetResponse,
  type SandboxState,
  type ToolCall,
} from '../core/protocol/index.ts'
import { AppNotRunningError } from './errors.ts'
import { Sandbox, type ConnectOptions } from './sandbox.ts'

/** What an agent relies on. The VM is the person's, so an agent can only say what it must be. */
export type AgentBootConfig = {
  /** Recipe of the guest image, e.g. `python`. */
  image?: string
  /** Milliseconds until the VM must be ready; 300 000 unless given. */
  timeoutMs?: number
}

const BOOT_MS = 300_000

/**
 * The Sandbox of the contract (protocol §5) over the running app: failures are thrown, each as its own class.
 * {@link Sandbox} is the same without exceptions for what a tool did, and with streaming, files and cancellation.
 */
export class AgentSandbox {
  readonly #options: ConnectOptions
  #sandbox: Promise<Sandbox> | null = null
  #booting: Promise<void> | null = null
  #config = '{}'
  #snapshot: AppSnapshot | null = null
  #heard: () => void = () => undefined

  constructor(options: ConnectOptions) {
    this.#options = options
  }

  /** Null until the app told it: before `boot`, and while no VM runs. */
  get backend(): Backend | null {
    return this.#snapshot?.helper?.backend ?? null
  }

  /** As the app tells it, from `boot` until `shutdown`. */
  state(): SandboxState {
    switch (this.#snapshot?.state) {
      case undefined:
        return this.#booting === null ? 'not_booted' : 'booting'
      case 'stopped':
      case 'stopping':
        return 'not_booted'
      case 'starting':
        return 'booting'
      case 'ready':
      case 'dispatching':
        return 'ready'
      case 'resetting':
        return 'resetting'
      case 'degraded':
      case 'failed':
        return 'failed'
    }
  }

  /**
   * Connects and waits until the VM can be dispatched to. Idempotent; a second boot with another config is an
   * error. Throws {@link SandboxNotAvailableError} when no app runs, {@link SandboxBootError} when its VM does not
   * come up or is not what `config` says.
   */
  boot(config: AgentBootConfig = {}): Promise<void> {
    const wanted = JSON.stringify({ image: config.image })
    if (this.#booting !== null && wanted !== this.#config)
      return Promise.reject(
        new SandboxBootError('BAD_REQUEST', 'agent', 'it was booted with another configuration', {
          nextStep: 'call shutdown() first',
        }),
      )
    this.#config = wanted
    this.#booting ??= this.#boot(config).catch(async (error: unknown) => {
      await this.shutdown()
      throw error
    })
    return this.#booting
  }

  async #boot({ image, timeoutMs = BOOT_MS }: AgentBootConfig): Promise<void> {
    this.#sandbox = Sandbox.connect(this.#options)
    const sandbox = await this.#sandbox.catch((error: unknown) => {
      throw error instanceof AppNotRunningError ? as(SandboxNotAvailableError, error) : error
    })
    await sandbox.subscribe(
      (event) => {
        if (event.event === 'state_changed') this.#take(event.snapshot)
      },
      () => this.#lost(),
    )
    const status = await sandbox.status()
    // An event that was faster is newer.
    if (this.#snapshot === null) this.#take(status)
    await this.#settled(timeoutMs)
    this.#checkImage(image)
  }

  #take(snapshot: AppSnapshot | null): void {
    this.#snapshot = snapshot
    this.#heard()
  }

  /** What is not heard from is not known to run; `boot` connects again. */
  #lost(): void {
    this.#booting = null
    this.#take(null)
    void this.shutdown()
  }

  #settled(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => finish(tooLate(timeoutMs)), timeoutMs)
      const finish = (error?: BsmError) => {
        clearTimeout(late)
        this.#heard = () => undefined
        if (error === undefined) resolve()
        else reject(error)
      }
      this.#heard = () => {
        const state = this.state()
        if (state === 'ready' || state === 'resetting') finish()
        else if (state !== 'booting') finish(notUp(this.#snapshot))
      }
      this.#heard()
    })
  }

  #checkImage(wanted: string | undefined): void {
    const running = this.#snapshot?.helper?.image?.recipe
    if (wanted === undefined || wanted === running) return
    throw new SandboxBootError(
      'IMAGE_MISMATCH',
      'agent',
      `the VM runs the image ${running ?? 'without a manifest'}, not ${wanted}`,
      { nextStep: `ask its owner to start it with \`bsm up --image ${wanted}\`` },
    )
  }

  /**
   * Runs one tool and waits for the wipe after it. A tool that fails is a response with its exit code. Throws
   * {@link SandboxToolTimeoutError} at the deadline, {@link SandboxResetDivergenceError} or
   * {@link SandboxResetError} when the wipe did not hold, {@link SandboxNotAvailableError} when nothing could run.
   */
  async executeTool(call: ToolCall): Promise<AgentExecResponse> {
    const sandbox = await this.#booted()
    const response = await sandbox.dispatch(call)
    const reset = response.sandbox_reset_state
    if (reset === null)
      throw as(
        SandboxNotAvailableError,
        response.error ? BsmError.fromWire(response.error) : notUp(this.#snapshot),
      )
    if (!reset.verification_passed) throw resetError(reset.error, null)
    if (response.error?.code === 'SANDBOX_TOOL_TIMEOUT')
      throw new SandboxToolTimeoutError(response.error.message, response)
    return response
  }

  /** Wipes now. Throws {@link SandboxResetDivergenceError} or {@link SandboxResetError}. */
  async reset(): Promise<ResetResponse> {
    const sandbox = await this.#booted()
    const report = await sandbox.reset().catch((error: unknown) => {
      const { code, message } = BsmError.from(error, 'app')
      throw resetError({ code, message }, null)
    })
    if (!report.verification_passed) throw resetError(report.error, report)
    return report
  }

  /** Ends the connection; the VM stays the app's. Idempotent. */
  async shutdown(): Promise<void> {
    const sandbox = await this.#sandbox?.catch(() => null)
    this.#sandbox = null
    this.#booting = null
    await sandbox?.close()
    this.#snapshot = null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown()
  }

  async #booted(): Promise<Sandbox> {
    if (this.#booting !== null && this.#sandbox !== null) {
      await this.#booting
      return this.#sandbox
    }
    throw new SandboxNotAvailableError('VM_LIFECYCLE_ERROR', 'agent', 'the sandbox is not booted', {
      nextStep: 'call boot() first',
    })
  }
}

type ErrorClass<E extends BsmError> = new (...args: ConstructorParameters<typeof BsmError>) => E

const as = <E extends BsmError>(
  Class: ErrorClass<E>,
  { code, layer, message, nextStep, cause }: BsmError,
): E =>
  new Class(code, layer, message, {
    ...(nextStep === undefined ? {} : { nextStep }),
    ...(cause === undefined ? {} : { cause }),
  })

const tooLate = (ms: number): SandboxBootError =>
  new SandboxBootError('TIMEOUT', 'app', `the VM was not ready within ${ms} ms`, {
    nextStep: 'see `bsm status`',
  })

function notUp(snapshot: AppSnapshot | null): SandboxBootError {
  if (snapshot?.degraded)
    return new SandboxBootError('DEGRADED', 'app', snapshot.degraded.message, {
      nextStep: 'a person must look at it: `bsm status`, then `bsm recover`',
    })
  if (snapshot?.error) return as(SandboxBootError, BsmError.fromWire(snapshot.error))
  return new SandboxBootError('VM_LIFECYCLE_ERROR', 'app', 'the VM is not running', {
    nextStep: 'start it with `bsm up`',
  })
}

function resetError(
  error: { code: BsmError['code']; message: string } | undefined,
  report: ResetResponse | null,
): SandboxResetError | SandboxResetDivergenceError {
  const message = error?.message ?? 'the reset was not verified'
  switch (error?.code) {
    case 'RESET_VERIFICATION_DIVERGENCE':
    case 'RESET_VERIFICATION_TIMEOUT':
      return new SandboxResetDivergenceError(error.code, message, report?.failed ?? [], report)
    case 'DEGRADED':
      return new SandboxResetDivergenceError('RESET_VERIFICATION_DIVERGENCE', message, [], report)
    default:
      return new SandboxResetError(error?.code ?? 'RESET_FAILED', message, report)
  }
}
