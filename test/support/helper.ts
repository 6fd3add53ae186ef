import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { closeSync, openSync, type PathLike } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import type * as z from 'zod'
import {
  BootResult,
  HelperMessage,
  LineSplitter,
  type ErrorResponse,
  type HelperEvent,
  type HelperRequest,
  type HelperResponse,
  type QueryKind,
  type WireError,
} from '../../core/protocol/index.ts'
import { DeadlineError, until, within } from './deadline.ts'
import type { HelperBinary } from './helper-binary.ts'
import type { GuestImage } from './image.ts'
import { connectedWith, gone, isAlive, tree, type ProcessId } from './processes.ts'
import type { Scratch } from './scratch.ts'

/** Deadlines of the tests: far above what the slowest machine needs, never a measure of speed. */
export const DEADLINE = {
  boot: 90_000,
  request: 20_000,
  reset: 40_000,
  exit: 20_000,
  refusal: 20_000,
} as const

/** Kept of one helper's output, so that a helper that never stops talking cannot eat the test's memory. */
const KEPT_BYTES = 192 * 1024 * 1024
const KEPT_STDERR = 256 * 1024

export type Received = {
  index: number
  bytes: number
  message: HelperMessage
  value: Record<string, unknown>
}
export type Exit = { code: number | null; signal: NodeJS.Signals | null }

type Kind = HelperRequest['kind']
export type ResponseTo<K extends Kind> = Extract<HelperResponse, { kind: `${K}_response` }> & {
  index: number
}
type Fields<K extends Kind> = Omit<Extract<HelperRequest, { kind: K }>, 'kind' | 'request_id'>
export type ExecExtras = Partial<Omit<Fields<'exec'>, 'tool' | 'params'>>

type Waiter = { matches: (received: Received) => boolean; resolve: (received: Received) => void }

/**
 * Drives one helper process through the contract. What the contract says of every line is checked
 * on every line: it is JSON of a known shape, and no request gets a second response.
 */
export class Helper {
  readonly scratch: Scratch
  readonly child: ChildProcessByStdio<Writable, Readable, Readable>
  /** Breaches of the contract seen so far, one sentence each. */
  readonly violations: string[] = []
  readonly exited: Promise<Exit>
  exit: Exit | undefined
  stderr = ''
  received: Received[] = []
  #count = 0
  #keptBytes = 0
  #stdoutEnded = false
  readonly #waiters = new Set<Waiter>()
  readonly #closers = new Set<() => void>()
  readonly #answered = new Set<string>()
  readonly #lines = new LineSplitter(160 * 1024 * 1024)

  constructor(
    binary: HelperBinary,
    scratch: Scratch,
    args: string[],
    options: { env?: Record<string, string>; stdin?: PathLike } = {},
  ) {
    this.scratch = scratch
    const stdin = options.stdin === undefined ? 'pipe' : openSync(options.stdin, 'r')
    this.child = spawn(binary.command, [...binary.args, ...args], {
      cwd: scratch.home,
      env: scratch.environment(options.env),
      stdio: [stdin, 'pipe', 'pipe'],
    }) as ChildProcessByStdio<Writable, Readable, Readable>
    if (typeof stdin === 'number') closeSync(stdin)
    else this.child.stdin.on('error', () => undefined) // EPIPE after its end: the exit tells more
    this.child.stdout.on('data', (chunk: Buffer) => this.#take(chunk))
    this.child.stdout.on('end', () => {
      this.#stdoutEnded = true
      if (this.#lines.held > 0) this.violations.push('the last line on stdout has no newline')
      for (const close of this.#closers) close()
    })
    this.child.stderr.on('data', (chunk: Buffer) => {
      this.stderr = (this.stderr + chunk.toString('utf8')).slice(-KEPT_STDERR)
    })
    this.exited = new Promise((resolve, reject) => {
      this.child.on('error', reject)
      this.child.on('close', (code, signal) => resolve((this.exit = { code, signal })))
    })
    this.exited.catch(() => undefined)
  }

  get pid(): number {
    const pid = this.child.pid
    if (pid === undefined) throw new Error('the helper could not be started')
    return pid
  }

  get processes(): ProcessId[] {
    return tree(this.pid)
  }

  #take(chunk: Buffer): void {
    for (const line of this.#lines.push(chunk)) {
      if (line.kind === 'too_long') this.violations.push('a line on stdout is longer than 160 MiB')
      else this.#line(line.text)
    }
  }

  #line(text: string): void {
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      this.violations.push(`stdout carries a line that is not JSON: ${text.slice(0, 200)}`)
      return
    }
    const parsed = HelperMessage.safeParse(value)
    if (!parsed.success) {
      this.violations.push(
        `stdout carries a message outside the contract: ${text.slice(0, 300)}: ${parsed.error.message.slice(0, 600)}`,
      )
      return
    }
    const message = parsed.data
    if ('request_id' in message) {
      if (this.#answered.has(message.request_id))
        this.violations.push(`request ${message.request_id} was answered twice`)
      this.#answered.add(message.request_id)
    }
    const received: Received = {
      index: (this.#count += 1),
      bytes: text.length,
      message,
      value: value as Record<string, unknown>,
    }
    this.received.push(received)
    this.#keptBytes += text.length
    while (this.#keptBytes > KEPT_BYTES) this.#keptBytes -= this.received.shift()?.bytes ?? this.#keptBytes
    for (const waiter of [...this.#waiters])
      if (waiter.matches(received)) {
        this.#waiters.delete(waiter)
        waiter.resolve(received)
      }
  }

  /** Position in the stream of messages: what comes later has a higher index. */
  get mark(): number {
    return this.#count
  }

  /** Drops what was received so far; the checks of a shared helper each begin with nothing kept. */
  forget(): void {
    this.received = []
    this.#keptBytes = 0
  }

  /** The first message after `after` that matches, whether it came already or is still to come. */
  async find(
    what: string,
    matches: (message: HelperMessage, value: Record<string, unknown>) => boolean,
    { after = 0, ms = DEADLINE.request as number } = {},
  ): Promise<Received> {
    const wanted = (one: Received) => one.index > after && matches(one.message, one.value)
    const already = this.received.find(wanted)
    if (already) return already
    if (this.#stdoutEnded) throw new Error(`${what}: the helper ended before it came.\n${this.describe()}`)
    let waiter: Waiter | undefined
    let closed: (() => void) | undefined
    const found = new Promise<Received>((resolve, reject) => {
      waiter = { matches: wanted, resolve }
      closed = () => reject(new Error(`${what}: the helper ended before it came.\n${this.describe()}`))
      this.#waiters.add(waiter)
      this.#closers.add(closed)
    })
    try {
      return await within(ms, what, found)
    } catch (error) {
      if (error instanceof DeadlineError) throw new DeadlineError(`${error.message}\n${this.describe()}`)
      throw error
    } finally {
      if (waiter) this.#waiters.delete(waiter)
      if (closed) this.#closers.delete(closed)
    }
  }

  events<E extends HelperEvent['event']>(
    name: E,
    after = 0,
  ): (Extract<HelperEvent, { event: E }> & { index: number })[] {
    return this.received.flatMap(({ index, message }) =>
      index > after && message.kind === 'event' && message.event === name
        ? [{ ...(message as Extract<HelperEvent, { event: E }>), index }]
        : [],
    )
  }

  async event<E extends HelperEvent['event']>(
    name: E,
    options: {
      after?: number
      ms?: number
      where?: (event: Extract<HelperEvent, { event: E }>) => boolean
    } = {},
  ): Promise<Extract<HelperEvent, { event: E }> & { index: number }> {
    const where = options.where ?? (() => true)
    const found = await this.find(
      `event ${name}`,
      (message) =>
        message.kind === 'event' &&
        message.event === name &&
        where(message as Extract<HelperEvent, { event: E }>),
      options,
    )
    return { ...(found.message as Extract<HelperEvent, { event: E }>), index: found.index }
  }

  // ------------------------------------------------------------------ requests

  raw(bytes: string | Uint8Array): void {
    this.child.stdin.write(bytes)
  }

  line(value: unknown): void {
    this.raw(`${JSON.stringify(value)}\n`)
  }

  /** The one response to `requestId`, whatever its kind. */
  async response(
    requestId: string,
    ms: number = DEADLINE.request,
  ): Promise<Received & { message: HelperResponse }> {
    const found = await this.find(
      `response to ${requestId}`,
      (message) => 'request_id' in message && message.request_id === requestId,
      { ms },
    )
    return found as Received & { message: HelperResponse }
  }

  /** Sends any object as a request and gives its response, refused or not. */
  async ask(
    request: Record<string, unknown>,
    ms: number = DEADLINE.request,
  ): Promise<HelperResponse & { index: number }> {
    const request_id = typeof request['request_id'] === 'string' ? request['request_id'] : randomUUID()
    this.line({ request_id, ...request })
    const found = await this.response(request_id, ms)
    return { ...found.message, index: found.index }
  }

  /** A well-formed request and its own kind of response; an `error_response` throws. */
  async request<K extends Kind>(
    kind: K,
    fields: Fields<K>,
    ms: number = DEADLINE.request,
  ): Promise<ResponseTo<K>> {
    const response = await this.ask({ kind, ...fields }, ms)
    if (response.kind !== `${kind}_response`)
      throw new Error(`${kind} was answered by ${JSON.stringify(response)}\n${this.describe()}`)
    return response as ResponseTo<K>
  }

  exec(tool: string, params: Fields<'exec'>['params'], extras: ExecExtras = {}): Promise<ResponseTo<'exec'>> {
    const deadline_ms = extras.deadline_ms ?? 30_000
    return this.request(
      'exec',
      { command_id: randomUUID(), ...extras, tool, params, deadline_ms },
      deadline_ms + DEADLINE.request,
    )
  }

  sh(command: string, extras: ExecExtras = {}): Promise<ResponseTo<'exec'>> {
    return this.exec('sh', { command }, extras)
  }

  reset(): Promise<ResponseTo<'reset'>> {
    return this.request('reset', {}, DEADLINE.reset)
  }

  status(): Promise<ResponseTo<'status'>> {
    return this.request('status', {})
  }

  query(query_kind: QueryKind): Promise<ResponseTo<'query'>> {
    return this.request('query', { query_kind })
  }

  // ------------------------------------------------------------------ life

  async bootResult(ms: number = DEADLINE.boot): Promise<BootResult> {
    const { message } = await this.find('boot_result', (one) => one.kind === 'boot_result', { ms })
    return BootResult.parse(message)
  }

  /** Waits until the VM is up; fails with the helper's own words when it is not. */
  async ready(): Promise<BootResult> {
    const result = await this.bootResult()
    if (!result.ok)
      throw new Error(`the VM did not boot: ${JSON.stringify(result.error)}\n${this.describe()}`)
    return result
  }

  /** Waits until a reset would be a swap. */
  async standbyReady(ms: number = DEADLINE.boot): Promise<void> {
    const after = this.mark
    if ((await this.status()).standby.state === 'ready') return
    await this.event('standby_changed', { after, ms, where: (one) => one.standby.state === 'ready' })
  }

  async waitForExit(ms: number = DEADLINE.exit): Promise<Exit> {
    try {
      return await within(ms, 'exit of the helper', this.exited)
    } catch (error) {
      throw new Error(`${String(error)}\n${this.describe()}`, { cause: error })
    }
  }

  /** Asks it to stop and waits for the end of everything it started. */
  async shutdown(): Promise<Exit> {
    const processes = this.processes
    if (this.exit === undefined) this.line({ kind: 'shutdown', request_id: randomUUID() })
    const exit = await this.waitForExit()
    await gone(processes)
    return exit
  }

  closeStdin(): void {
    this.child.stdin.end()
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }

  /** Ends it whatever it is doing: by EOF, and by SIGKILL if that does not. */
  async end(): Promise<void> {
    if (this.exit !== undefined) return
    const known = this.processes
    this.closeStdin()
    await within(8_000, 'exit after EOF', this.exited).catch(() => {
      this.violations.push('did not end within 8 s of EOF on stdin')
      this.kill('SIGKILL')
    })
    await this.exited.catch(() => undefined)
    await gone(known, 5_000).catch(() => undefined)
  }

  /** Ends it; what it leaves behind is killed and named. */
  async dispose(): Promise<string[]> {
    await this.end()
    return await killOrphans(this.scratch)
  }

  /** What a person needs to see why a wait failed. */
  describe(): string {
    const last = this.received
      .filter(({ message }) => message.kind !== 'event' || message.event !== 'exec_output')
      .slice(-6)
      .map(({ value }) => `  ${JSON.stringify(value).slice(0, 400)}`)
    const exit = this.exit ? `exit ${this.exit.code ?? this.exit.signal}` : 'running'
    return [
      `helper ${this.child.pid}: ${exit}`,
      'last messages:',
      ...last,
      'stderr:',
      this.stderr.slice(-1500),
    ].join('\n')
  }
}

/** What is still there of a scratch's processes once those that are ending had time to end. */
export async function orphans({ marker, root }: Scratch, ms = 5_000): Promise<ProcessId[]> {
  let left: ProcessId[] = []
  await until(ms, 'the end of every process', () => {
    left = connectedWith(marker, root)
    return left.length === 0
  }).catch(() => undefined)
  return left
}

/** Kills them, and names them. */
export async function killOrphans(scratch: Scratch): Promise<string[]> {
  const left = await orphans(scratch)
  for (const one of left)
    try {
      if (isAlive(one)) process.kill(one.pid, 'SIGKILL')
    } catch {
      // it ended in between
    }
  return left.map(({ pid, command }) => `process ${pid} ${command}`)
}

export type BootOptions = {
  cpus?: number | string
  memoryMib?: number | string
  socket?: string
  cmdline?: string
  stateDir?: string
  extra?: string[]
  env?: Record<string, string>
}

/** Arguments of `boot` for an image; the tests' VM is small so that saving and copying it is fast. */
export function bootArguments(scratch: Scratch, image: GuestImage, options: BootOptions = {}): string[] {
  return [
    'boot',
    ...['--kernel', image.kernel],
    ...['--initrd', image.initrd],
    ...['--rootfs', image.rootfs],
    ...['--cmdline', options.cmdline ?? image.manifest.cmdline],
    ...['--cpus', String(options.cpus ?? 1)],
    ...['--memory-mib', String(options.memoryMib ?? 256)],
    ...['--state-dir', options.stateDir ?? scratch.stateDir],
    ...['--socket', options.socket ?? 'none'],
    ...(options.extra ?? []),
  ]
}

export function bootHelper(
  binary: HelperBinary,
  scratch: Scratch,
  image: GuestImage,
  options: BootOptions = {},
): Helper {
  return new Helper(binary, scratch, bootArguments(scratch, image, options), {
    ...(options.env === undefined ? {} : { env: options.env }),
  })
}

/** The error of a response that refused, whichever form the refusal took. */
export function errorOf(response: HelperResponse | BootResult): WireError | undefined {
  return (response as ErrorResponse | { error?: WireError }).error
}

/** A schema's verdict as a sentence; undefined when it fits. */
export function mismatch(schema: z.ZodType, value: unknown): string | undefined {
  const parsed = schema.safeParse(value)
  return parsed.success ? undefined : parsed.error.message
}
