import type { WebSocket } from 'ws'
import type { App } from '../app.ts'
import { LIMITS, parseStrictJson, UiRequest } from '../protocol/index.ts'
import { PageSession, type PageTransport } from '../ui/index.ts'
import type { UiCredentials } from './tokens.ts'

/** A page that was refused and does not hang up is hung up on after this long. */
const REFUSED_MS = 500
/** Our own close code for a credential that is unknown, used or too old. */
export const UNAUTHORIZED_CLOSE = 4401

/** One page over its WebSocket: `auth` first (protocol §5), then a session to the end. */
export class PageConnection {
  readonly #socket: WebSocket
  readonly #app: App
  readonly #credentials: UiCredentials
  readonly #authTimer: NodeJS.Timeout
  readonly #onSignedIn: () => void
  #session: PageSession | null = null
  #alive = true

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
    return this.#session !== null
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
    const session = this.#session
    if (isBinary) return session !== null ? this.#socket.close(1003) : this.#refuse()
    if (session === null && data.length > LIMITS.helloBytes) return this.#refuse()
    const request = parse(data)
    if (session === null) return this.#auth(request)
    if (request === null || request.action === 'auth') return this.#socket.close(1008)
    void session.answer(request)
  }

  #auth(request: UiRequest | null): void {
    if (request?.action !== 'auth' || !this.#accepts(request)) return this.#refuse()
    clearTimeout(this.#authTimer)
    this.#onSignedIn()
    const transport = transportOf(this.#socket)
    transport.send({ type: 'session', session: request.session ?? this.#credentials.mintSession() })
    this.#session = new PageSession(this.#app, transport)
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
    this.#session?.close()
  }
}

const transportOf = (socket: WebSocket): PageTransport => ({
  send: (message) => {
    if (socket.readyState === socket.OPEN) socket.send(JSON.stringify(message))
  },
  get unsentBytes() {
    return socket.bufferedAmount
  },
  drop: () => socket.terminate(),
})

function parse(data: Buffer): UiRequest | null {
  try {
    const parsed = UiRequest.safeParse(parseStrictJson(data.toString('utf8')))
    return parsed.success ? parsed.data : null
  } catch {
    return null
  }
}
