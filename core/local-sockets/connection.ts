import type { Socket } from 'node:net'
import * as z from 'zod'
import {
  BsmError,
  HelloRequest,
  LIMITS,
  LineSplitter,
  parseStrictJson,
  Uuid,
  type WireError,
  whyNotParsed,
} from '../protocol/index.ts'

/** Who speaks on a connection. A person's may cancel any command and sees all of them. */
export interface Peer {
  readonly client: string
  readonly person: boolean
}

export interface ConnectionHandler {
  /** The peer of these credentials, or null; throws a {@link BsmError} for one that may not come in now. */
  authenticate(hello: HelloRequestFields): Peer | null
  helloResponse(requestId: string): object
  /** Answers one request; what it throws becomes an `error_response`. */
  handle(message: unknown, connection: Connection, peer: Peer): Promise<object>
  onClosed(connection: Connection): void
}

export type HelloRequestFields = { readonly token: string; readonly client: string }

export interface ConnectionLimits {
  /** Time for the hello. */
  readonly helloMs: number
  /** Bytes that may wait for a peer that does not read, before it is dropped. */
  readonly eventBytes: number
  readonly answerBytes: number
  readonly inFlight: number
  /** Silence inside a line after which a peer is dropped. */
  readonly lineSilenceMs: number
}

export const CONNECTION_LIMITS: ConnectionLimits = {
  helloMs: LIMITS.helloWithinMs,
  eventBytes: 4 * 1024 * 1024,
  answerBytes: 2 * LIMITS.ndjsonLineBytes,
  inFlight: 64,
  lineSilenceMs: 30_000,
}

/** Bytes of unfinished lines that all connections may hold together. */
const HELD_BYTES = 64 * 1024 * 1024

/** Counts what connections hold of unfinished lines; when it is too much, who holds most must go. */
export class HeldLines {
  readonly #held = new Map<Connection, number>()

  set(connection: Connection, bytes: number): void {
    if (bytes === 0) this.#held.delete(connection)
    else this.#held.set(connection, bytes)
    while (this.#total > HELD_BYTES) this.#dropLargest()
  }

  get #total(): number {
    let total = 0
    for (const bytes of this.#held.values()) total += bytes
    return total
  }

  #dropLargest(): void {
    const [largest] = [...this.#held].reduce((most, each) => (each[1] > most[1] ? each : most))
    this.#held.delete(largest)
    largest.refuse(
      new BsmError('BUSY', 'app', 'Too many bytes of unfinished lines are held.', {
        nextStep: 'Send one large dispatch after the other.',
      }),
    )
  }
}

const FINISH_MS = 500

/** One connection to a local socket (protocol §5): `hello` first, in time and short; then requests by id. */
export class Connection {
  readonly #socket: Socket
  readonly #handler: ConnectionHandler
  readonly #limits: ConnectionLimits
  readonly #gone = new AbortController()
  readonly #helloTimer: NodeJS.Timeout
  readonly #lines = new LineSplitter()
  readonly #heldLines: HeldLines
  #lineTimer: NodeJS.Timeout | undefined
  #helloBytes: Buffer = Buffer.alloc(0)
  #peer: Peer | null = null
  #inFlight = 0
  /** Set by a `subscribe` request. */
  subscribed = false

  constructor(
    socket: Socket,
    handler: ConnectionHandler,
    limits: ConnectionLimits = CONNECTION_LIMITS,
    heldLines = new HeldLines(),
  ) {
    this.#socket = socket
    this.#heldLines = heldLines
    this.#handler = handler
    this.#limits = limits
    this.#helloTimer = setTimeout(
      () => this.#refuse(null, unauthorized('There was no hello within 2 s.')),
      limits.helloMs,
    )
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('error', () => undefined)
    socket.on('close', () => {
      clearTimeout(this.#helloTimer)
      clearTimeout(this.#lineTimer)
      heldLines.set(this, 0)
      this.#gone.abort()
      handler.onClosed(this)
    })
  }

  /** Aborted when the peer is gone. */
  get gone(): AbortSignal {
    return this.#gone.signal
  }

  get peer(): Peer | null {
    return this.#peer
  }

  /** Sends an event, unless the peer reads so slowly that it must go. `line` ends in a newline. */
  sendEvent(line: string): void {
    if (this.#socket.writableLength > this.#limits.eventBytes) this.drop()
    else this.#write(line)
  }

  /** Hangs up after what is on its way, but does not wait long for it. */
  finish(): void {
    this.#socket.destroySoon()
    setTimeout(() => this.#socket.destroy(), FINISH_MS).unref()
  }

  drop(): void {
    this.#socket.destroy()
  }

  #write(line: string): void {
    if (!this.#socket.destroyed) this.#socket.write(line)
  }

  #answer(response: object): void {
    if (this.#socket.writableLength > this.#limits.answerBytes) this.drop()
    else this.#write(`${JSON.stringify(response)}\n`)
  }

  #error(requestId: string | null, error: WireError): void {
    // Without an id nobody can match it; it is an event then (protocol §2).
    if (requestId !== null) this.#answer({ kind: 'error_response', request_id: requestId, error })
    else
      this.#answer({
        kind: 'event',
        event: 'protocol_error',
        message: error.message,
        ts: new Date().toISOString(),
      })
  }

  /** Says why and hangs up, also on a peer that does not read it. */
  refuse(error: BsmError): void {
    this.#refuse(null, error)
    setTimeout(() => this.#socket.destroy(), FINISH_MS).unref()
  }

  /** Says why and hangs up. */
  #refuse(requestId: string | null, error: BsmError): void {
    clearTimeout(this.#helloTimer)
    this.#error(requestId, error.toWire())
    this.#socket.destroySoon()
  }

  #read(chunk: Buffer): void {
    if (this.#socket.writableEnded) return
    const rest = this.#peer === null ? this.#readHello(chunk) : chunk
    if (rest === null || this.#peer === null) return
    for (const line of this.#lines.push(rest)) {
      if (this.#socket.destroyed || this.#socket.writableEnded) return
      if (line.kind === 'line') this.#request(line.text, this.#peer)
      else this.#error(null, tooLong().toWire())
    }
    this.#watchLine()
  }

  /** An unfinished line is held only while bytes of it come, and while there is room for it. */
  #watchLine(): void {
    clearTimeout(this.#lineTimer)
    const { held } = this.#lines
    if (held > 0) this.#lineTimer = setTimeout(() => this.refuse(fellSilent()), this.#limits.lineSilenceMs)
    this.#heldLines.set(this, held)
  }

  /** Collects the first line, never more than its limit; returns what came after it. */
  #readHello(chunk: Buffer): Buffer | null {
    if (this.#socket.writableEnded) return null
    const newline = chunk.indexOf(0x0a)
    const part = newline === -1 ? chunk : chunk.subarray(0, newline)
    const line = Buffer.concat([this.#helloBytes, part], this.#helloBytes.length + part.length)
    if (line.length > LIMITS.helloBytes) {
      this.#refuse(null, unauthorized('The hello is longer than 4 KiB.'))
      return null
    }
    this.#helloBytes = line
    if (newline === -1) return null
    this.#hello(line.toString('utf8'))
    return chunk.subarray(newline + 1)
  }

  #hello(text: string): void {
    const parsed = HelloRequest.safeParse(parseOrNull(text))
    if (!parsed.success)
      return this.#refuse(
        idOf(parseOrNull(text)),
        unauthorized('The first line must be a hello with a token.'),
      )
    const { request_id, token, client } = parsed.data
    let peer: Peer | null
    try {
      peer = this.#handler.authenticate({ token, client })
    } catch (error) {
      return this.#refuse(request_id, BsmError.from(error, 'app'))
    }
    if (peer === null)
      return this.#refuse(request_id, unauthorized('The token is not the one of this client.'))
    clearTimeout(this.#helloTimer)
    this.#peer = peer
    this.#answer(this.#handler.helloResponse(request_id))
  }

  #request(text: string, peer: Peer): void {
    let message: unknown
    try {
      message = parseStrictJson(text)
    } catch (thrown) {
      return this.#error(null, badRequest(whyNotParsed(thrown)).toWire())
    }
    const requestId = idOf(message)
    if (this.#inFlight >= this.#limits.inFlight)
      return this.#error(requestId, new BsmError('BUSY', 'app', 'Too many requests are in flight.').toWire())
    this.#inFlight += 1
    this.#handler
      .handle(message, this, peer)
      .then((response) => this.#answer(response))
      .catch((error: unknown) => this.#error(requestId, BsmError.from(error, 'app').toWire()))
      .finally(() => (this.#inFlight -= 1))
  }
}

function parseOrNull(text: string): unknown {
  try {
    return parseStrictJson(text)
  } catch {
    return undefined
  }
}

const WithId = z.object({ request_id: Uuid })

/** Only a UUID is one: an answer with another id would be outside the contract itself. */
const idOf = (message: unknown): string | null => {
  const parsed = WithId.safeParse(message)
  return parsed.success ? parsed.data.request_id : null
}

const unauthorized = (message: string): BsmError =>
  new BsmError('UNAUTHORIZED', 'app', message, { nextStep: 'Get a token with `bsm clients add NAME`.' })

export const badRequest = (message: string): BsmError =>
  new BsmError('BAD_REQUEST', 'agent', message, {
    nextStep: 'See wire-protocol §5 for the requests there are.',
  })

const fellSilent = (): BsmError =>
  new BsmError('TIMEOUT', 'agent', 'The rest of a line did not come.', {
    nextStep: 'End every request with a newline.',
  })

const tooLong = (): BsmError =>
  new BsmError('FRAME_TOO_LARGE', 'agent', `A line is longer than ${LIMITS.ndjsonLineBytes} bytes.`, {
    nextStep: 'Send less in one dispatch.',
  })
