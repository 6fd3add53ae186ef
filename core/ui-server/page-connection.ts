import type { WebSocket } from 'ws'
import { randomUUID } from 'node:crypto'
import type { App } from '../app.ts'
import {
  BsmError,
  LIMITS,
  parseJsonLine,
  UiRequest,
  type AppSnapshot,
  type UiMessage,
} from '../protocol/index.ts'
import type { UiCredentials } from './tokens.ts'

/** The name under which dispatches from the page run. */
const CLIENT = 'ui'
/** A snapshot waits while this much is unsent; a newer one takes its place. */
const SNAPSHOT_BYTES = 1024 * 1024
/** Unsent bytes at which a page that does not read is dropped. */
const DROP_BYTES = 16 * 1024 * 1024
const RETRY_MS = 100
/** A page that was refused and does not hang up is hung up on after this long. */
const REFUSED_MS = 500
const MAX_IN_FLIGHT = 16
/** Our own close code for a credential that is unknown, used or too old. */
export const UNAUTHORIZED_CLOSE = 4401

type Answerable = Exclude<UiRequest, { action: 'auth' }>

/** One page, from its first message (protocol §5: `auth`) to its end, which cancels what it had running. */
export class PageConnection {
  readonly #socket: WebSocket
  readonly #app: App
  readonly #credentials: UiCredentials
  readonly #gone = new AbortController()
  readonly #authTimer: NodeJS.Timeout
  readonly #onSignedIn: () => void
  #authenticated = false
  #alive = true
  #inFlight = 0
  #unsent: NodeJS.Timeout | undefined
  #release: (() => void)[] = []

  constructor(socket: WebSocket, app: App, credentials: UiCredentials, onSignedIn: () => void) {
    this.#socket = socket
    this.#onSignedIn = onSignedIn
    this.#app = app
    this.#credentials = credentials
    this.#authTimer = setTimeout(() => this.#refuse(), LIMITS.helloWithinMs)
    socket.on('message', (data, isBinary) => this.#read(data as Buffer, isBinary))
    socket.on('pong', () => (this.#alive = true))
    socket.on('error', () => undefined)
    socket.on('close', () => this.#closed())
  }

  get authenticated(): boolean {
    return this.#authenticated
  }

  /** Called at intervals: a page that did not answer the last ping is gone. */
  ping(): void {
    if (!this.#alive) return this.#socket.terminate()
    this.#alive = false
    this.#socket.ping()
  }

  close(): void {
    this.#socket.close(1001)
  }

  terminate(): void {
    this.#socket.terminate()
  }

  #read(data: Buffer, isBinary: boolean): void {
    if (isBinary) return this.#authenticated ? this.#socket.close(1003) : this.#refuse()
    if (!this.#authenticated && data.length > LIMITS.helloBytes) return this.#refuse()
    const request = parse(data)
    if (!this.#authenticated) return this.#auth(request)
    if (request === null || request.action === 'auth') return this.#socket.close(1008)
    void this.#answer(request)
  }

  #auth(request: UiRequest | null): void {
    if (request?.action !== 'auth' || !this.#accepts(request)) return this.#refuse()
    clearTimeout(this.#authTimer)
    this.#authenticated = true
    this.#onSignedIn()
    this.#send({ type: 'session', session: request.session ?? this.#credentials.mintSession() })
    this.#send({ type: 'snapshot', snapshot: this.#app.snapshot() })
    this.#release = [
      this.#app.subscribe((snapshot) => this.#show(snapshot)),
      this.#app.onOutput(({ command_id, stream, data_b64, seq }) =>
        this.#send({ type: 'output', command_id, stream, data_b64, seq }),
      ),
    ]
  }

  #accepts({ token, session }: Extract<UiRequest, { action: 'auth' }>): boolean {
    if (token !== undefined) return this.#credentials.spendToken(token)
    return session !== undefined && this.#credentials.useSession(session)
  }

  #refuse(): void {
    clearTimeout(this.#authTimer)
    this.#socket.close(UNAUTHORIZED_CLOSE)
    setTimeout(() => this.#socket.terminate(), REFUSED_MS).unref()
  }

  #closed(): void {
    clearTimeout(this.#authTimer)
    clearTimeout(this.#unsent)
    for (const release of this.#release) release()
    this.#gone.abort()
  }

  #show(snapshot: AppSnapshot): void {
    clearTimeout(this.#unsent)
    this.#unsent = undefined
    if (this.#socket.bufferedAmount <= SNAPSHOT_BYTES) return this.#send({ type: 'snapshot', snapshot })
    this.#unsent = setTimeout(() => this.#show(this.#app.snapshot()), RETRY_MS)
  }

  #send(message: UiMessage): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return
    if (this.#socket.bufferedAmount > DROP_BYTES) return this.#socket.terminate()
    this.#socket.send(JSON.stringify(message))
  }

  async #answer(request: Answerable): Promise<void> {
    const { id } = request
    if (this.#inFlight >= MAX_IN_FLIGHT) {
      const error = new BsmError('BUSY', 'app', 'The page asks too much at once.').toWire()
      return this.#send({ type: 'reply', id, ok: false, error })
    }
    this.#inFlight += 1
    try {
      const result = await perform(this.#app, request, this.#gone.signal)
      this.#send({ type: 'reply', id, ok: true, ...(result === undefined ? {} : { result: plain(result) }) })
    } catch (error) {
      this.#send({ type: 'reply', id, ok: false, error: BsmError.from(error, 'app').toWire() })
    } finally {
      this.#inFlight -= 1
    }
  }
}

function parse(data: Buffer): UiRequest | null {
  try {
    const parsed = UiRequest.safeParse(parseJsonLine(data.toString('utf8')))
    return parsed.success ? parsed.data : null
  } catch {
    return null
  }
}

/** What each button does. */
async function perform(app: App, request: Answerable, signal: AbortSignal): Promise<object | undefined> {
  switch (request.action) {
    case 'start':
      await app.up()
      return undefined
    case 'stop':
      await app.down()
      return undefined
    case 'reset':
      return app.reset(CLIENT, signal)
    case 'recover':
      await app.recover(request.reason, CLIENT)
      return undefined
    case 'run': {
      const { tool, params, deadline_ms, command_id = randomUUID() } = request
      const answer = await app.exec(CLIENT, { command_id, tool, params, deadline_ms }, { signal })
      return { kind: 'exec_response', request_id: command_id, ...answer }
    }
    case 'cancel':
      return { cancelled: app.cancel(request.command_id) }
    case 'verify_evidence':
      return app.verifyEvidence(request.command_id)
  }
}

type Json = Extract<UiMessage, { type: 'reply' }>['result']
/** As it will travel anyway. */
const plain = (value: object): Json => value as Json
