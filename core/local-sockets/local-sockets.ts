import { randomBytes, timingSafeEqual } from 'node:crypto'
import { createServer, type Server, type Socket } from 'node:net'
import type { App } from '../app.ts'
import { hashToken, type ClientStore } from '../clients.ts'
import { fileError, removeFile, replaceFile } from '../files.ts'
import type { Logger } from '../log.ts'
import type { Paths } from '../paths.ts'
import { BsmError, LIMITS, type AppSnapshot, type ExecOutputEvent } from '../protocol/index.ts'
import {
  Connection,
  CONNECTION_LIMITS,
  HeldLines,
  type ConnectionHandler,
  type ConnectionLimits,
  type HelloRequestFields,
  type Peer,
} from './connection.ts'
import { listenOn } from './listen.ts'
import { answer, visibleTo } from './requests.ts'

interface LocalSocketsParts {
  readonly paths: Paths
  readonly clients: ClientStore
  readonly logger: Logger
  readonly limits?: ConnectionLimits
}

/** The one name on `control.sock`: a person at this machine. */
const PERSON = 'cli'
/** Connections of one socket. */
const MAX_CONNECTIONS = 256
/** Connections of one client; a person runs many commands at once. */
const MAX_PER_CLIENT = 8
const MAX_PER_PERSON = 64

/** `agent.sock` and `control.sock` (protocol §5): one protocol, two doors, the second for a person alone. */
export class LocalSockets {
  readonly #app: App
  readonly #parts: LocalSocketsParts
  readonly #connections = new Set<Connection>()
  readonly #heldLines = new HeldLines()
  readonly #servers: Server[] = []
  #controlTokenHash: Buffer = randomBytes(32)
  #unsubscribe: (() => void)[] = []
  /** Only while someone subscribed: watching costs the helper work. */
  #watching: (() => void) | null = null

  constructor(app: App, parts: LocalSocketsParts) {
    this.#app = app
    this.#parts = parts
  }

  /** Throws a sentence when a socket cannot be had; then none is left open. */
  async open(): Promise<void> {
    const { paths, clients } = this.#parts
    try {
      this.#writeControlToken()
      await this.#serve(paths.controlSocket, (hello) => this.#authenticatePerson(hello))
      await this.#serve(paths.agentSocket, ({ client, token }) =>
        clients.authenticate(client, token) ? { client, person: false } : null,
      )
    } catch (error) {
      await this.close()
      throw error
    }
    this.#unsubscribe = [this.#app.onOutput((event, client) => this.#output(event, client))]
  }

  /** A new token at every start: whoever kept an old one is out. */
  #writeControlToken(): void {
    const token = randomBytes(32).toString('base64url')
    this.#controlTokenHash = hashToken(token)
    try {
      replaceFile(this.#parts.paths.controlToken, `${token}\n`)
    } catch (error) {
      throw fileError(error, 'write control.token')
    }
  }

  #authenticatePerson({ client, token }: HelloRequestFields): Peer | null {
    const matches = timingSafeEqual(hashToken(token), this.#controlTokenHash)
    return matches && client === PERSON ? { client, person: true } : null
  }

  async #serve(path: string, authenticate: ConnectionHandler['authenticate']): Promise<void> {
    // Oldest first. Each door counts for itself: whoever crowds one shuts nobody out at the other.
    const waiting = new Set<Connection>()
    const server = createServer((socket) => this.#accept(socket, authenticate, waiting))
    server.maxConnections = MAX_CONNECTIONS
    await listenOn(server, path)
    server.on('error', (error) => this.#parts.logger.error(fileError(error, `serve ${path}`).message))
    this.#servers.push(server)
  }

  #accept(socket: Socket, authenticate: ConnectionHandler['authenticate'], waiting: Set<Connection>): void {
    // Any process of this user can connect, so the oldest gives way to the newest.
    const [oldest] = waiting
    if (oldest !== undefined && waiting.size >= LIMITS.connectionsBeforeHello) {
      waiting.delete(oldest)
      oldest.drop()
    }
    const handler: ConnectionHandler = {
      authenticate: (hello) => {
        const peer = authenticate(hello)
        if (peer === null) return null
        this.#refuseCrowd(peer)
        waiting.delete(connection)
        return peer
      },
      helloResponse: (request_id) => this.#helloResponse(request_id),
      handle: async (message, from, peer) => {
        const response = await answer(this.#app, message, from, peer)
        if (from.subscribed) this.#startWatching()
        return response
      },
      onClosed: (closed) => {
        waiting.delete(closed)
        this.#closed(closed)
      },
    }
    const limits = this.#parts.limits ?? CONNECTION_LIMITS
    const connection = new Connection(socket, handler, limits, this.#heldLines)
    this.#connections.add(connection)
    waiting.add(connection)
  }

  #refuseCrowd({ client, person }: Peer): void {
    const atMost = person ? MAX_PER_PERSON : MAX_PER_CLIENT
    const theirs = [...this.#connections].filter(
      ({ peer }) => peer?.client === client && peer.person === person,
    )
    if (theirs.length >= atMost)
      throw new BsmError('BUSY', 'app', `${client} has ${atMost} connections already.`, {
        nextStep: 'Close one, or send several requests over one.',
      })
  }

  #helloResponse(request_id: string): object {
    const { helper } = this.#app.snapshot()
    return {
      kind: 'hello_response',
      request_id,
      ok: true,
      version: this.#app.version,
      backend: helper?.backend ?? null,
      accelerator: helper?.accelerator ?? null,
    }
  }

  #closed(connection: Connection): void {
    this.#connections.delete(connection)
    if ([...this.#connections].some(({ subscribed }) => subscribed)) return
    this.#watching?.()
    this.#watching = null
  }

  #startWatching(): void {
    this.#watching ??= this.#app.subscribe((snapshot) => this.#stateChanged(snapshot))
  }

  /** Each command's output goes to its own client's subscribers, and to nobody else. */
  #output(event: ExecOutputEvent, client: string): void {
    let line: string | null = null
    for (const connection of this.#connections) {
      if (!connection.subscribed || connection.peer?.client !== client) continue
      connection.sendEvent((line ??= `${JSON.stringify(event)}\n`))
    }
  }

  #stateChanged(snapshot: AppSnapshot): void {
    const ts = new Date().toISOString()
    for (const connection of this.#connections) {
      const { peer } = connection
      if (!connection.subscribed || peer === null) continue
      const event = { kind: 'event', event: 'state_changed', snapshot: visibleTo(peer, snapshot), ts }
      connection.sendEvent(`${JSON.stringify(event)}\n`)
    }
  }

  /** Hangs up on a client whose token was revoked. */
  dropClient(name: string): void {
    for (const connection of this.#connections)
      if (connection.peer?.client === name && !connection.peer.person) connection.drop()
  }

  async close(): Promise<void> {
    for (const unsubscribe of this.#unsubscribe) unsubscribe()
    this.#watching?.()
    this.#watching = null
    const closed = this.#servers.map(
      (server) => new Promise<void>((resolve) => server.close(() => resolve())),
    )
    for (const connection of this.#connections) connection.finish()
    await Promise.all(closed)
    try {
      removeFile(this.#parts.paths.controlToken)
    } catch (error) {
      // The next start writes another.
      this.#parts.logger.error(fileError(error, 'remove control.token').message)
    }
  }
}
