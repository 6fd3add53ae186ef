import { BsmError, type BootResult, type HelperEvent, type HelperRequest } from '../protocol/index.ts'
import type { RequestBody, ResponseTo } from './channel.ts'
import { bootError, isPermanent } from './exit-reason.ts'
import type { HelperIdentityFile } from './leftover.ts'
import { HelperProcess, type StopLadder } from './process.ts'
import { RestartBudget, type RestartLimits } from './restart-budget.ts'

export type SupervisorState =
  | { readonly kind: 'stopped' }
  | { readonly kind: 'starting' }
  | { readonly kind: 'ready'; readonly boot: BootResult; readonly pid: number }
  /** It ended; another comes after a pause. */
  | { readonly kind: 'restarting'; readonly why: BsmError; readonly inMs: number }
  | { readonly kind: 'stopping' }
  | { readonly kind: 'failed'; readonly error: BsmError }

interface SupervisorOptions {
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  readonly identity: HelperIdentityFile
  readonly onState: (state: SupervisorState) => void
  readonly onEvent: (event: HelperEvent) => void
  readonly onLog: (line: string) => void
  readonly limits?: RestartLimits | undefined
  readonly ladder?: StopLadder | undefined
  /** Milliseconds until `boot_result` at the latest. */
  readonly bootMs?: number | undefined
  /** Asked before every start of a helper, a restart included; what it rejects with is final. */
  readonly admit?: (() => Promise<void>) | undefined
}

/** A cold boot under emulation on a busy machine, with the image checked before and the snapshot made after. */
const BOOT_MS = 180_000

/**
 * Keeps one helper running: starts it, notices its end whatever the cause, starts another within bounds,
 * and gives up with a sentence. What an old process still says is heard by nobody.
 */
export class HelperSupervisor {
  readonly #options: SupervisorOptions
  readonly #budget: RestartBudget
  #state: SupervisorState = { kind: 'stopped' }
  #process: HelperProcess | null = null
  #bootArgs: readonly string[] = []
  /** A start that was asked for while a stop is under way. */
  #startAfterStop: readonly string[] | null = null
  #readySince: number | null = null
  #restart: NodeJS.Timeout | undefined
  /** The start that waits to be admitted; one that was overtaken is forgotten. */
  #attempt: symbol | null = null
  #stopping: Promise<void> | null = null
  /** A process that was taken out and is not gone yet. */
  #ending: Promise<void> | null = null
  #waiters: { resolve: () => void; reject: (error: BsmError) => void }[] = []

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#budget = new RestartBudget(options.limits)
  }

  get state(): SupervisorState {
    return this.#state
  }

  /** Starts a helper unless one is wanted already. Resolves when its VM runs; rejects when it gave up or was stopped. */
  start(bootArgs: readonly string[]): Promise<void> {
    const { kind } = this.#state
    if (kind === 'ready') return Promise.resolve()
    const ready = new Promise<void>((resolve, reject) => this.#waiters.push({ resolve, reject }))
    if (kind === 'stopping') this.#startAfterStop = bootArgs
    if (kind === 'stopped' || kind === 'failed') this.#begin(bootArgs)
    return ready
  }

  #begin(bootArgs: readonly string[]): void {
    this.#startAfterStop = null
    this.#bootArgs = bootArgs
    this.#budget.refill()
    this.#launch()
  }

  /** Ends the helper and starts no other, unless that is asked for meanwhile. Idempotent. */
  stop(): Promise<void> {
    this.#startAfterStop = null
    this.#settle(new BsmError('CANCELLED', 'app', 'The VM was stopped before it was ready.'))
    if (this.#is('stopped')) return Promise.resolve()
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    clearTimeout(this.#restart)
    const process = this.#process
    this.#process = null
    this.#enter({ kind: 'stopping' })
    await Promise.all([process?.stop(), this.#ending])
    this.#forget()
    this.#stopping = null
    this.#enter({ kind: 'stopped' })
    if (this.#startAfterStop !== null && this.#is('stopped')) this.#begin(this.#startAfterStop)
  }

  /** Ends a helper that can no longer be trusted to answer; another one follows within the budget. */
  async replace(why: BsmError): Promise<void> {
    await this.#end((process) => process.kill(), why)
  }

  /** Takes the current process out, ends it, and then counts it as crashed, unless we are stopping. */
  async #end(how: (process: HelperProcess) => Promise<void>, why: BsmError): Promise<void> {
    const process = this.#process
    if (process === null) return
    this.#process = null
    // At once, since nobody may be sent to it any more while it ends.
    if (this.#is('ready')) this.#enter({ kind: 'starting' })
    const ending = how(process)
    this.#ending = ending
    await ending
    if (this.#ending !== ending) return
    this.#ending = null
    if (this.#is('starting')) this.#crashed(bootError(why, process.exitCode))
  }

  #is(kind: SupervisorState['kind']): boolean {
    return this.#state.kind === kind
  }

  request<K extends HelperRequest['kind']>(
    body: RequestBody<K> & { kind: K },
    deadlineMs: number,
  ): Promise<ResponseTo<K>> {
    const process = this.#state.kind === 'ready' ? this.#process : null
    if (process === null) return Promise.reject(notRunning())
    return process.request<K>(body, deadlineMs)
  }

  #launch(): void {
    this.#enter({ kind: 'starting' })
    const { admit } = this.#options
    if (admit === undefined) return this.#spawn()
    const attempt = (this.#attempt = Symbol('start'))
    const current = (): boolean => this.#attempt === attempt && this.#is('starting')
    admit().then(
      () => current() && this.#spawn(),
      (error: unknown) => current() && this.#fail(BsmError.from(error, 'app')),
    )
  }

  #spawn(): void {
    const { command, args, env, cwd, ladder } = this.#options
    let own: HelperProcess | null = null
    const current = (): boolean => own !== null && this.#process === own
    try {
      own = new HelperProcess({
        command,
        args: [...args, 'boot', ...this.#bootArgs],
        env,
        cwd,
        onEvent: (event) => current() && this.#options.onEvent(event),
        onLog: (line) => this.#options.onLog(line),
        ...(ladder === undefined ? {} : { ladder }),
      })
      this.#process = own
      if (own.pid !== undefined) this.#options.identity.record(own.pid)
    } catch (error) {
      // Whoever is not recorded may not run; the disk that was full may take the record of the next one.
      const why = BsmError.from(error, 'app')
      return own === null ? this.#crashed(why) : void this.#end((process) => process.kill(), why)
    }
    this.#follow(own)
  }

  #follow(process: HelperProcess): void {
    const current = (): boolean => this.#process === process
    const late = setTimeout(() => {
      if (current() && this.#state.kind === 'starting') void this.replace(bootSilent(this.#bootMs))
    }, this.#bootMs)
    process.booted.then(
      (boot) => {
        clearTimeout(late)
        if (!current() || this.#state.kind !== 'starting') return
        this.#readySince = performance.now()
        this.#enter({ kind: 'ready', boot, pid: process.pid ?? 0 })
        this.#settle(null)
      },
      (error: unknown) => {
        clearTimeout(late)
        // It said why and ends by itself; the ladder gives it a moment for that, then makes it.
        if (current()) void this.#end((failed) => failed.stop(), BsmError.from(error, 'helper'))
      },
    )
    void process.exited.then((why) => {
      if (current() && this.#state.kind === 'ready') this.#crashed(why)
    })
  }

  #crashed(why: BsmError): void {
    const readySince = this.#readySince
    this.#forget()
    if (isPermanent(why)) return this.#fail(why)
    const inMs = this.#budget.spend(performance.now(), readySince)
    if (inMs === null) return this.#fail(gaveUp(why))
    // Before anyone hears of it: a listener may stop us.
    this.#restart = setTimeout(() => this.#launch(), inMs)
    this.#enter({ kind: 'restarting', why, inMs })
  }

  #fail(error: BsmError): void {
    this.#forget()
    this.#enter({ kind: 'failed', error })
    this.#settle(error)
  }

  #forget(): void {
    this.#process = null
    this.#readySince = null
    try {
      this.#options.identity.clear()
    } catch {
      // The record of a process that is gone: the next start finds it dead.
    }
  }

  #settle(error: BsmError | null): void {
    const waiters = this.#waiters
    this.#waiters = []
    for (const { resolve, reject } of waiters) {
      if (error === null) resolve()
      else reject(error)
    }
  }

  #enter(state: SupervisorState): void {
    this.#state = state
    this.#options.onState(state)
  }

  get #bootMs(): number {
    return this.#options.bootMs ?? BOOT_MS
  }
}

const notRunning = (): BsmError =>
  new BsmError('VM_LIFECYCLE_ERROR', 'app', 'The VM is not running.', { nextStep: 'Start it with `bsm up`.' })

const bootSilent = (ms: number): BsmError =>
  new BsmError('TIMEOUT', 'helper', `The helper did not boot a VM within ${Math.round(ms / 1000)} s.`, {
    nextStep: 'See the log, and `bsm doctor`.',
  })

const gaveUp = (why: BsmError): BsmError =>
  new BsmError(why.code, why.layer, `The helper kept ending and is not started again. Last: ${why.message}`, {
    nextStep: why.nextStep ?? 'Look at the log, then start again with `bsm up`.',
    ...(why.cause === undefined ? {} : { cause: why.cause }),
  })
