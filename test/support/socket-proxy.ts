import { randomUUID } from 'node:crypto'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { LineSplitter } from '../../core/protocol/index.ts'

/** How an app would answer that does not keep its promises to agents; see {@link RULES} and {@link Relay}. */
export type ProxyMode =
  | 'any-token'
  | 'as-person'
  | 'new-ids'
  | 'unrefusing'
  | 'twice'
  | 'meddling'
  | 'credulous'
  | 'one-at-a-time'
  | 'deaf'
  | 'clinging'

export type Credentials = { client: string; token: string }
type Message = Record<string, unknown>

/** Changes what passes, message by message; what is left out passes byte by byte. */
type Rules = { up?: (message: Message) => Message[]; down?: (message: Message) => Message[] }

/** What one proxy knows, over all its connections. */
type Knowledge = {
  /** Of somebody who may come in. */
  good: Credentials
  commands: Set<string>
}

const LINE_BYTES = 160 * 1024 * 1024

/** Says hello for whoever does not, and puts good credentials in the place of others. */
function withGoodHello({ good }: Knowledge): Rules {
  const own = randomUUID()
  let isFirst = true
  return {
    up: (message) => {
      if (!isFirst) return [message]
      isFirst = false
      if (message['kind'] === 'hello') return [{ ...message, ...good }]
      return [{ kind: 'hello', request_id: own, ...good }, message]
    },
    down: (message) => (message['request_id'] === own ? [] : [message]),
  }
}

const isRefusal = ({ kind, event, error }: Message): boolean =>
  kind === 'error_response' || event === 'protocol_error' || error !== undefined

const RULES: Partial<Record<ProxyMode, (knowledge: Knowledge) => Rules>> = {
  'any-token': withGoodHello,
  // The same; it is the other socket to which it leads.
  'as-person': withGoodHello,
  // Whoever uses a command_id again is given another.
  'new-ids': ({ commands }) => {
    const asked = new Map<unknown, unknown>()
    return {
      up: (message) => {
        const id = message['command_id']
        if (message['kind'] !== 'exec') return [message]
        const known = String(id).toLowerCase()
        const fresh = commands.has(known) ? randomUUID() : id
        commands.add(known)
        asked.set(message['request_id'], id)
        return [{ ...message, command_id: fresh }]
      },
      down: (message) => {
        const id = asked.get(message['request_id'])
        return [id === undefined || !('command_id' in message) ? message : { ...message, command_id: id }]
      },
    }
  },
  unrefusing: () => ({ down: (message) => (isRefusal(message) ? [] : [message]) }),
  twice: () => ({ down: (message) => [message, message] }),
  // Another call than the one that was sent, which does the same.
  meddling: () => ({
    up: (message) => [message['kind'] === 'exec' ? { ...message, env: { MEDDLED: 'yes' } } : message],
  }),
  // Whatever is checked is found in order.
  credulous: () => {
    const asked = new Map<unknown, unknown>()
    const verdict = { ok: true, entries: 0, head: null, finding: 'none', chunks: 0, message: 'All is well.' }
    const hashes = { evidence_hash: null, recomputed: null }
    return {
      up: (message) => {
        if (/^(audit|evidence)_verify$/.test(String(message['kind'])))
          asked.set(message['request_id'], message)
        return [message]
      },
      down: (message) => {
        const question = asked.get(message['request_id']) as Message | undefined
        if (question === undefined) return [message]
        const { kind, request_id, command_id } = question
        return [
          { kind: `${String(kind)}_response`, request_id, verdict: { ...verdict, ...hashes, command_id } },
        ]
      },
    }
  },
}

/** Stands in front of an app's socket at a path of its own, in this process. */
export class SocketProxy {
  readonly path: string
  readonly #to: string
  readonly #mode: ProxyMode
  readonly #knowledge: Knowledge
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #waiting: Socket[] = []
  #serves: Socket | null = null

  private constructor(mode: ProxyMode, path: string, to: string, good: Credentials) {
    this.#mode = mode
    this.path = path
    this.#to = to
    this.#knowledge = { good, commands: new Set() }
    this.#server = createServer({ allowHalfOpen: true }, (client) => this.#accept(client))
  }

  /** Listens at `path` in front of `to`; `good` are credentials that are good there. */
  static async listen(mode: ProxyMode, path: string, to: string, good: Credentials): Promise<SocketProxy> {
    const proxy = new SocketProxy(mode, path, to, good)
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject)
      proxy.#server.listen(path, resolve)
    })
    return proxy
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => this.#sockets.delete(socket))
  }

  #accept(client: Socket): void {
    this.#keep(client)
    if (this.#mode !== 'one-at-a-time') return this.#serve(client)
    this.#waiting.push(client)
    this.#serveNext()
  }

  #serveNext(): void {
    if (this.#serves !== null) return
    const next = this.#waiting.shift()
    if (next === undefined) return
    this.#serves = next
    next.on('close', () => {
      this.#serves = null
      this.#serveNext()
    })
    this.#serve(next)
  }

  #serve(client: Socket): void {
    const app = createConnection({ path: this.#to, allowHalfOpen: true })
    this.#keep(app)
    const { up, down } = RULES[this.#mode]?.(this.#knowledge) ?? {}
    relay(client, app, up)
    relay(app, client, down)
    // An app that is deaf does not hear that its client is gone; one that clings never hangs up.
    if (this.#mode !== 'deaf') hangUpWith(client, app)
    if (this.#mode !== 'clinging') hangUpWith(app, client)
  }
}

/** Passes on what comes from `from`, however slowly `to` takes it. */
function relay(from: Socket, to: Socket, change: Rules['up']): void {
  const pass = (bytes: string | Buffer): void => {
    if (!to.destroyed) to.write(bytes)
  }
  if (change === undefined) {
    from.on('data', pass)
    return
  }
  const lines = new LineSplitter(LINE_BYTES)
  from.on('data', (chunk: Buffer) => {
    for (const line of lines.push(chunk)) {
      if (line.kind === 'too_long') continue
      const message = parsed(line.text)
      if (message === null) pass(`${line.text}\n`)
      else for (const changed of change(message)) pass(`${JSON.stringify(changed)}\n`)
    }
  })
}

function parsed(text: string): Message | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Message) : null
  } catch {
    return null
  }
}

function hangUpWith(one: Socket, other: Socket): void {
  one.on('end', () => other.end())
  one.on('close', () => other.destroySoon())
}
