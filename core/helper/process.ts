import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { BsmError, type BootResult, type HelperEvent, type HelperRequest } from '../protocol/index.ts'
import { BoundedLog } from './bounded-log.ts'
import { HelperChannel, type RequestBody, type ResponseTo } from './channel.ts'
import { exitError, spawnError } from './exit-reason.ts'

/** Milliseconds that each rung of the stop ladder gets. */
export interface StopLadder {
  readonly shutdownMs: number
  readonly eofMs: number
  readonly sigtermMs: number
  readonly sigkillMs: number
}

const STOP_LADDER: StopLadder = {
  shutdownMs: 10_000,
  eofMs: 5_000,
  sigtermMs: 3_000,
  sigkillMs: 3_000,
}

interface HelperProcessOptions {
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  readonly onEvent: (event: HelperEvent) => void
  readonly onLog: (line: string) => void
  readonly ladder?: StopLadder
}

/** What was left on stdout when the process ended may still hold an answer. */
const DRAIN_MS = 500

/** One helper process, from spawn to exit. It is never started again; the supervisor makes another. */
export class HelperProcess {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #channel: HelperChannel
  readonly #log = new BoundedLog()
  readonly #ladder: StopLadder
  /** Resolves, and never rejects, when the process is gone; with why. */
  readonly exited: Promise<BsmError>
  /** Resolves with the boot result of a VM that runs; rejects with why there is none. */
  readonly booted: Promise<BootResult>
  #over = false
  #stopping: Promise<void> | null = null

  constructor(options: HelperProcessOptions) {
    this.#ladder = options.ladder ?? STOP_LADDER
    // A process group of its own: Ctrl-C in a terminal is for the app, which then ends its helper in order.
    this.#child = spawn(options.command, options.args, {
      cwd: options.cwd,
      env: { ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      shell: false,
      detached: true,
    })
    let bootResult: (result: BootResult) => void = () => undefined
    const first = new Promise<BootResult>((resolve) => (bootResult = resolve))
    this.#channel = new HelperChannel(this.#child.stdout, this.#child.stdin, {
      onBootResult: bootResult,
      onEvent: options.onEvent,
      onOddity: options.onLog,
    })
    this.#child.stderr.on('data', (chunk: Buffer) => this.#log.push(chunk).forEach(options.onLog))
    this.#child.stderr.on('error', () => undefined)
    this.exited = this.#awaitExit(options.command)
    this.booted = Promise.race([first.then(bootedOrThrow), this.exited.then((why) => Promise.reject(why))])
    this.booted.catch(() => undefined)
  }

  /** Undefined when it could not be started. */
  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Null while it runs, and when a signal ended it. */
  get exitCode(): number | null {
    return this.#child.exitCode
  }

  /** Last lines of its stderr. */
  get log(): readonly string[] {
    return this.#log.lines
  }

  request<K extends HelperRequest['kind']>(
    body: RequestBody<K> & { kind: K },
    deadlineMs: number,
  ): Promise<ResponseTo<K>> {
    return this.#channel.request<K>(body, deadlineMs)
  }

  /**
   * Ends the process, gently first: `shutdown`, then end of input, SIGTERM, SIGKILL to its whole group.
   * Resolves when it is gone, and also when not even SIGKILL ended it within its bound.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#climbDown()
    return this.#stopping
  }

  async #climbDown(): Promise<void> {
    const { shutdownMs, eofMs, sigtermMs, sigkillMs } = this.#ladder
    const asked = this.#channel.request({ kind: 'shutdown' }, shutdownMs).catch(() => undefined)
    if (await this.#goneWithin(shutdownMs, asked)) return
    this.#channel.end()
    if (await this.#goneWithin(eofMs)) return
    this.#signal('SIGTERM')
    if (await this.#goneWithin(sigtermMs)) return
    this.#signal('SIGKILL')
    await this.#goneWithin(sigkillMs)
  }

  /** At once, for a helper that no longer answers. */
  kill(): Promise<void> {
    this.#signal('SIGKILL')
    return this.#goneWithin(this.#ladder.sigkillMs).then(() => undefined)
  }

  #signal(signal: NodeJS.Signals): void {
    const { pid } = this.#child
    // After the exit was seen the number may belong to someone else.
    if (pid === undefined || this.#over || this.#child.exitCode !== null || this.#child.signalCode !== null)
      return
    try {
      process.kill(-pid, signal)
    } catch {
      this.#child.kill(signal)
    }
  }

  /** Waits for the exit; `answer`, once it came, leaves the rest of the time to the exit itself. */
  async #goneWithin(ms: number, answer?: Promise<unknown>): Promise<boolean> {
    if (this.#over) return true
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<false>((resolve) => (timer = setTimeout(() => resolve(false), ms)))
    const gone = this.exited.then(() => true as const)
    try {
      if (answer !== undefined) await Promise.race([answer, late, gone])
      return await Promise.race([gone, late])
    } finally {
      clearTimeout(timer)
    }
  }

  #awaitExit(command: string): Promise<BsmError> {
    return new Promise((resolve) => {
      const over = (why: BsmError): void => {
        if (this.#over) return
        this.#over = true
        this.#channel.close(why)
        resolve(why)
      }
      this.#child.on('error', (error) => {
        if (this.#child.pid === undefined) over(spawnError(error, command))
      })
      this.#child.on('exit', (code, signal) => {
        const end = (): void =>
          over(this.#stopping === null ? exitError({ code, signal }, this.#log.last) : stopped())
        // 'close' waits for everyone who inherited the pipes, which may be never.
        const timer = setTimeout(end, DRAIN_MS)
        this.#child.on('close', () => {
          clearTimeout(timer)
          end()
        })
      })
    })
  }
}

const stopped = (): BsmError => new BsmError('CANCELLED', 'app', 'The VM was stopped.')

function bootedOrThrow(result: BootResult): BootResult {
  if (result.ok) return result
  throw result.error === undefined
    ? new BsmError('VM_LIFECYCLE_ERROR', 'helper', 'The helper could not boot the VM and did not say why.')
    : BsmError.fromWire({ layer: 'helper', ...result.error })
}
