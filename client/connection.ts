import { randomUUID } from 'node:crypto'
import { createConnection, type Socket } from 'node:net'
import {
  AgentEvent,
  BsmError,
  checkJsonSize,
  ControlResponse,
  LIMITS,
  LineSplitter,
  parseStrictJson,
  whyNotParsed,
  type ControlRequest,
} from '../core/protocol/index.ts'
import { aborted, connectError, connectionClosed, ConnectionLostError, timedOut } from './errors.ts'

type Kind = ControlRequest['kind']
/** Distributes over the union, so that each kind keeps its own fields. */
type WithoutId<R> = R extends unknown ? Omit<R, 'request_id'> : never
export type RequestBody<K extends Kind = Kind> = WithoutId<Extract<ControlRequest, { kind: K }>>
export type ResponseTo<K extends Kind> = Extract<ControlResponse, { kind: `${K}_response` }>

export type Credentials = {
  socketPath: string
  token: string
  /** Name that the token was issued to. */
  client: string
}

export type RequestOptions = {
  /** Milliseconds; there is no request without a deadline. */
  timeoutMs: number
  signal?: AbortSignal | undefined
}

type ConnectionListener = {
  onEvent: (event: AgentEvent) => void
  /** Called once, whatever ended it. */
  onEnd: (reason: BsmError) => void
}

type Pending = {
  kind: Kind
  resolve: (response: ControlResponse) => void
  reject: (error: BsmError) => void
}

/**
 * One authenticated connection to `agent.sock` or `control.sock` (protocol §5): many requests in
 * flight, each with its own deadline, and events beside them.
 *
 * It ends once and for all: whatever ends it rejects everything in flight.
 */
export class Connection {
  readonly #socket: Socket
  readonly #lines = new LineSplitter()
  readonly #pending = new Map<string, Pending>()
  readonly #listeners = new Set<ConnectionListener>()
  #ended: BsmError | null = null

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('error', (error) => this.#end(new ConnectionLostError(error)))
    socket.on('close', () => this.#end(new ConnectionLostError()))
  }

  /** Connects and says `hello`. Throws {@link BsmError}: `AppNotRunningError`, UNAUTHORIZED, TIMEOUT, CANCELLED. */
  static async open(credentials: Credentials, options: RequestOptions): Promise<Connection> {
    const started = Date.now()
    const connection = new Connection(await dial(credentials.socketPath, options))
    try {
      const { token, client } = credentials
      await connection.request(
        { kind: 'hello', token, client },
        { ...options, timeoutMs: Math.max(1, options.timeoutMs - (Date.now() - started)) },
      )
      return connection
    } catch (error) {
      connection.close()
      throw error
    }
  }

  /** Why the connection is over, or null while it lives. */
  get ended(): BsmError | null {
    return this.#ended
  }

  /** Hears events and the end, until the returned function is called. */
  listen(listener: ConnectionListener): () => void {
    if (this.#ended) listener.onEnd(this.#ended)
    else this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Sends one request and waits for its answer. Rejects with {@link BsmError}: the app's own error,
   * TIMEOUT, CANCELLED (by `signal`), FRAME_TOO_LARGE, or the sentence about a lost connection.
   */
  request<K extends Kind>(
    body: RequestBody<K> & { kind: K },
    options: RequestOptions,
  ): Promise<ResponseTo<K>> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended)
      if (options.signal?.aborted) return reject(aborted(body.kind, options.signal.reason))
      const id = randomUUID()
      const line = JSON.stringify({ ...body, request_id: id })
      const size = Buffer.byteLength(line)
      const limit = body.kind === 'hello' ? LIMITS.helloBytes : LIMITS.ndjsonLineBytes
      if (size > limit) return reject(requestTooLarge(body.kind, size, limit))
      const refusal = refusedUnread(body.kind, line)
      if (refusal !== null) return reject(refusal)

      const onAbort = () => settle().reject(aborted(body.kind, options.signal?.reason))
      const timer = setTimeout(
        () => settle().reject(timedOut(body.kind, options.timeoutMs)),
        options.timeoutMs,
      )
      const settle = () => {
        clearTimeout(timer)
        options.signal?.removeEventListener('abort', onAbort)
        this.#pending.delete(id)
        return { resolve, reject }
      }
      options.signal?.addEventListener('abort', onAbort, { once: true })
      this.#pending.set(id, {
        kind: body.kind,
        // The kind was compared in #answer.
        resolve: (response) => settle().resolve(response as ResponseTo<K>),
        reject: (error) => settle().reject(error),
      })
      this.#socket.write(`${line}\n`)
    })
  }

  /** Ends the connection; what is in flight is rejected with CANCELLED. */
  close(): void {
    this.#end(connectionClosed())
  }

  #end(reason: BsmError): void {
    if (this.#ended) return
    this.#ended = reason
    this.#socket.destroy()
    for (const pending of [...this.#pending.values()]) pending.reject(reason)
    for (const listener of [...this.#listeners]) listener.onEnd(reason)
    this.#listeners.clear()
  }

  #read(chunk: Buffer): void {
    for (const line of this.#lines.push(chunk)) {
      if (this.#ended) return
      if (line.kind === 'line') this.#take(line.text)
      else this.#end(malformed('FRAME_TOO_LARGE', `a line longer than ${LIMITS.ndjsonLineBytes} bytes`))
    }
  }

  #take(text: string): void {
    let message: unknown
    try {
      message = parseStrictJson(text)
    } catch (error) {
      return this.#end(malformed('FRAME_MALFORMED', 'a line that is not JSON', error))
    }
    if (isRecord(message) && message.kind === 'event') this.#event(message)
    else this.#answer(message)
  }

  #event(message: unknown): void {
    const parsed = AgentEvent.safeParse(message)
    // A newer app may know events that we do not.
    if (!parsed.success) return
    for (const listener of [...this.#listeners]) listener.onEvent(parsed.data)
  }

  #answer(message: unknown): void {
    const id = isRecord(message) && typeof message.request_id === 'string' ? message.request_id : undefined
    const pending = id === undefined ? undefined : this.#pending.get(id)
    // An answer nobody waits for any more: its request timed out or was aborted.
    if (pending === undefined) return
    const parsed = ControlResponse.safeParse(message)
    if (!parsed.success)
      pending.reject(malformed('FRAME_MALFORMED', `an ill-formed answer to ${pending.kind}`, parsed.error))
    else if (parsed.data.kind === 'error_response') pending.reject(fromApp(parsed.data.error))
    else if (parsed.data.kind !== `${pending.kind}_response`)
      pending.reject(malformed('FRAME_MALFORMED', `${parsed.data.kind} as the answer to ${pending.kind}`))
    else pending.resolve(parsed.data)
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const fromApp = (error: Parameters<typeof BsmError.fromWire>[0]): BsmError =>
  BsmError.fromWire({ layer: 'app', ...error })

const malformed = (code: 'FRAME_TOO_LARGE' | 'FRAME_MALFORMED', what: string, cause?: unknown): BsmError =>
  new BsmError(code, 'app', `the app sent ${what}`, {
    nextStep: 'check that app and client are of the same version: `bsm --version`, `bsm status`',
    ...(cause === undefined ? {} : { cause }),
  })

const requestTooLarge = (kind: Kind, size: number, limit: number): BsmError =>
  new BsmError(
    'FRAME_TOO_LARGE',
    'agent',
    `the ${kind} request has ${size} bytes; at most ${limit} are allowed`,
    {
      nextStep: 'send less in one dispatch',
    },
  )

/** What the app would not even parse, it could not answer by id: it is refused here. */
function refusedUnread(kind: Kind, line: string): BsmError | null {
  try {
    checkJsonSize(line)
    return null
  } catch (cause) {
    return new BsmError(
      'BAD_REQUEST',
      'agent',
      `the ${kind} request cannot be sent: ${whyNotParsed(cause)}`,
      {
        nextStep: 'send flatter or fewer values, or put the data into a file of the dispatch',
        cause,
      },
    )
  }
}

function dial(path: string, { timeoutMs, signal }: RequestOptions): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(aborted('connect', signal.reason))
    const socket = createConnection(path)
    const fail = (error: BsmError) => {
      done()
      socket.destroy()
      reject(error)
    }
    const onError = (error: Error) => fail(connectError(error, path))
    const onAbort = () => fail(aborted('connect', signal?.reason))
    const onConnect = () => {
      done()
      resolve(socket)
    }
    const timer = setTimeout(() => fail(timedOut('connect', timeoutMs)), timeoutMs)
    const done = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      socket.off('error', onError)
      socket.off('connect', onConnect)
    }
    socket.once('error', onError)
    socket.once('connect', onConnect)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
