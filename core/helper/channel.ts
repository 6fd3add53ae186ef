import { randomUUID } from 'node:crypto'
import type { Readable, Writable } from 'node:stream'
import {
  BootResult,
  BsmError,
  HelperEvent,
  HelperResponse,
  LineSplitter,
  parseStrictJson,
  type HelperRequest,
} from '../protocol/index.ts'

type Kind = HelperRequest['kind']
/** Distributes over the union, so that each kind keeps its own fields. */
type WithoutId<R> = R extends unknown ? Omit<R, 'request_id'> : never
export type RequestBody<K extends Kind = Kind> = WithoutId<Extract<HelperRequest, { kind: K }>>
export type ResponseTo<K extends Kind> = Extract<HelperResponse, { kind: `${K}_response` }>

interface ChannelListener {
  onBootResult(result: BootResult): void
  onEvent(event: HelperEvent): void
  /** A line that the contract does not know; the channel goes on. */
  onOddity(sentence: string): void
}

type Pending = {
  readonly kind: Kind
  readonly timer: NodeJS.Timeout
  readonly resolve: (response: HelperResponse) => void
  readonly reject: (error: BsmError) => void
}

/** Requests in flight; the app asks few questions at a time, so more means that something is wrong. */
const MAX_IN_FLIGHT = 64
/** What the bound holds for. The rest comes one at a time, and a wipe must never fail for want of room. */
const QUESTIONS: ReadonlySet<Kind> = new Set<Kind>(['query', 'status'])

/** The NDJSON channel to one helper process (protocol §2): requests by id, each with a deadline, and events. */
export class HelperChannel {
  readonly #output: Writable
  readonly #listener: ChannelListener
  readonly #lines = new LineSplitter()
  readonly #pending = new Map<string, Pending>()
  #closed: BsmError | null = null

  constructor(input: Readable, output: Writable, listener: ChannelListener) {
    this.#output = output
    this.#listener = listener
    input.on('data', (chunk: Buffer) => this.#read(chunk))
    input.on('error', () => undefined)
    // EPIPE: the process ended; its exit says more.
    output.on('error', () => undefined)
  }

  /** Rejects with the helper's own error, TIMEOUT after `deadlineMs`, or the reason of {@link close}. */
  request<K extends Kind>(body: RequestBody<K> & { kind: K }, deadlineMs: number): Promise<ResponseTo<K>> {
    return new Promise((resolve, reject) => {
      if (this.#closed !== null) return reject(this.#closed)
      if (QUESTIONS.has(body.kind) && this.#pending.size >= MAX_IN_FLIGHT)
        return reject(new BsmError('BUSY', 'helper', 'The helper owes too many answers.'))
      const id = randomUUID()
      const timer = setTimeout(() => {
        this.#pending.delete(id)
        reject(silent(body.kind, deadlineMs))
      }, deadlineMs)
      this.#pending.set(id, {
        kind: body.kind,
        timer,
        // The kind was compared in #answer.
        resolve: (response) => resolve(response as ResponseTo<K>),
        reject,
      })
      this.#output.write(`${JSON.stringify({ ...body, request_id: id })}\n`)
    })
  }

  /** Closes the way in: the helper takes EOF as the death of its parent. */
  end(): void {
    this.#output.end()
  }

  /** Nothing comes any more: everything in flight is rejected, late lines are ignored. */
  close(reason: BsmError): void {
    if (this.#closed !== null) return
    this.#closed = reason
    for (const pending of this.#pending.values()) {
      clearTimeout(pending.timer)
      pending.reject(reason)
    }
    this.#pending.clear()
  }

  #read(chunk: Buffer): void {
    for (const line of this.#lines.push(chunk)) {
      if (this.#closed !== null) return
      if (line.kind === 'line') this.#take(line.text)
      else this.#listener.onOddity('The helper sent a line that is too long.')
    }
  }

  #take(text: string): void {
    let message: unknown
    try {
      message = parseStrictJson(text)
    } catch {
      return this.#listener.onOddity('The helper sent a line that is not JSON.')
    }
    if (typeof message !== 'object' || message === null || !('kind' in message))
      return this.#listener.onOddity('The helper sent a line without a kind.')
    if (message.kind === 'boot_result') this.#bootResult(message)
    else if (message.kind === 'event') this.#event(message)
    else this.#answer(message)
  }

  #bootResult(message: object): void {
    const parsed = BootResult.safeParse(message)
    if (parsed.success) this.#listener.onBootResult(parsed.data)
    else this.#listener.onOddity(`The helper sent an ill-formed boot_result: ${parsed.error.message}`)
  }

  #event(message: object): void {
    const parsed = HelperEvent.safeParse(message)
    if (parsed.success) this.#listener.onEvent(parsed.data)
    else this.#listener.onOddity(`The helper sent an ill-formed event: ${parsed.error.message}`)
  }

  #answer(message: object): void {
    const id = 'request_id' in message && typeof message.request_id === 'string' ? message.request_id : ''
    const pending = this.#pending.get(id)
    // Nobody waits for it any more: its deadline passed.
    if (pending === undefined) return
    this.#pending.delete(id)
    clearTimeout(pending.timer)
    const parsed = HelperResponse.safeParse(message)
    if (!parsed.success) pending.reject(illFormed(pending.kind, parsed.error))
    else if (parsed.data.kind === 'error_response')
      pending.reject(BsmError.fromWire({ layer: 'helper', ...parsed.data.error }))
    else if (parsed.data.kind !== `${pending.kind}_response`) pending.reject(illFormed(pending.kind))
    else pending.resolve(parsed.data)
  }
}

const silent = (kind: Kind, ms: number): BsmError =>
  new BsmError('TIMEOUT', 'helper', `The helper did not answer ${kind} within ${Math.round(ms / 1000)} s.`, {
    nextStep: 'The app starts a new one; see `bsm doctor` when it happens again.',
  })

const illFormed = (kind: Kind, cause?: unknown): BsmError =>
  new BsmError('INTERNAL_BUG', 'helper', `The helper gave an ill-formed answer to ${kind}.`, {
    nextStep: 'Check that app and helper are of the same version.',
    ...(cause === undefined ? {} : { cause }),
  })
