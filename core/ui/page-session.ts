import { setMaxListeners } from 'node:events'
import type { App } from '../app.ts'
import {
  BsmError,
  type AppSnapshot,
  type LogSource,
  type PageRequest,
  type UiMessage,
} from '../protocol/index.ts'
import { LogFollower } from './log-follower.ts'
import { perform } from './perform.ts'

/** A snapshot waits while this much is unsent; a newer one takes its place. */
const SNAPSHOT_BYTES = 1024 * 1024
/** Unsent bytes at which a page that does not read is dropped. */
const DROP_BYTES = 16 * 1024 * 1024
const RETRY_MS = 100
const MAX_IN_FLIGHT = 16

/** What carries messages to one page: a WebSocket when headless, Electron's IPC in the app's own window. */
export interface PageTransport {
  send(message: UiMessage): void
  /** Bytes that were sent and that the page has not taken yet. */
  readonly unsentBytes: number
  /** Cuts off a page that does not read; {@link PageSession.close} follows. */
  drop(): void
}

/** One page that was let in, from its first snapshot to its end, which cancels what it had running. */
export class PageSession {
  readonly #app: App
  readonly #transport: PageTransport
  readonly #gone = new AbortController()
  #inFlight = 0
  #unsent: NodeJS.Timeout | undefined
  #stopSnapshots: (() => void) | null = null
  #stopOutput: (() => void) | null
  #follower: LogFollower | null = null

  constructor(app: App, transport: PageTransport) {
    this.#app = app
    this.#transport = transport
    setMaxListeners(2 * MAX_IN_FLIGHT, this.#gone.signal)
    this.resume()
    this.#stopOutput = app.onOutput(({ command_id, stream, data_b64, seq }) =>
      this.#send({ type: 'output', command_id, stream, data_b64, seq }),
    )
  }

  /** Sends no snapshots until {@link resume}: nobody sees the page. Output goes on, for it comes only once. */
  pause(): void {
    clearTimeout(this.#unsent)
    this.#stopSnapshots?.()
    this.#stopSnapshots = null
  }

  /** Sends the snapshot of now, and every later one. Does nothing while they are being sent. */
  resume(): void {
    if (this.#stopSnapshots !== null || this.#gone.signal.aborted) return
    this.#stopSnapshots = this.#app.subscribe((snapshot) => this.#show(snapshot))
    this.#show(this.#app.snapshot())
  }

  /** Idempotent. */
  close(): void {
    this.pause()
    this.#follow(null)
    this.#stopOutput?.()
    this.#stopOutput = null
    this.#gone.abort()
  }

  /** Performs a request and replies to it; the reply says what went wrong. Never rejects. */
  async answer(request: PageRequest): Promise<void> {
    const { id } = request
    if (this.#inFlight >= MAX_IN_FLIGHT) {
      const error = new BsmError('BUSY', 'app', 'The page asks too much at once.').toWire()
      return this.#send({ type: 'reply', id, ok: false, error })
    }
    this.#inFlight += 1
    try {
      const result = await this.#perform(request)
      this.#send({ type: 'reply', id, ok: true, ...(result === undefined ? {} : { result: plain(result) }) })
    } catch (error) {
      this.#send({ type: 'reply', id, ok: false, error: BsmError.from(error, 'app').toWire() })
    } finally {
      this.#inFlight -= 1
    }
  }

  async #perform(request: PageRequest): Promise<object | undefined> {
    switch (request.action) {
      case 'attend':
        return void (request.seen ? this.resume() : this.pause())
      case 'follow_log':
        return void this.#follow(request.source)
      default:
        return perform(this.#app, request, this.#gone.signal)
    }
  }

  #follow(source: LogSource | null): void {
    this.#follower?.close()
    this.#follower =
      source === null || this.#gone.signal.aborted
        ? null
        : new LogFollower(this.#app, source, () => this.#send({ type: 'log_grew', source }))
  }

  #show(snapshot: AppSnapshot): void {
    clearTimeout(this.#unsent)
    this.#unsent = undefined
    if (this.#transport.unsentBytes <= SNAPSHOT_BYTES) return this.#send({ type: 'snapshot', snapshot })
    this.#unsent = setTimeout(() => this.#show(this.#app.snapshot()), RETRY_MS)
  }

  #send(message: UiMessage): void {
    if (this.#gone.signal.aborted) return
    if (this.#transport.unsentBytes > DROP_BYTES) return this.#transport.drop()
    this.#transport.send(message)
  }
}

type Json = Extract<UiMessage, { type: 'reply' }>['result']
/** As it will travel anyway. */
const plain = (value: object): Json => value as Json
