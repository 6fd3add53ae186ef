import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import * as z from 'zod'
import type { Clock } from './clock.ts'
import { fileError, readSmallFile, replaceFile } from './files.ts'
import { BsmError, ClientInfo, type ClientsAction, type ClientsAnswer } from './protocol/index.ts'

const StoredClient = ClientInfo.extend({ token_sha256: z.string().regex(/^[0-9a-f]{64}$/) })
type StoredClient = z.infer<typeof StoredClient>

/** Names that the app gives to people and to itself. */
const RESERVED = new Set(['app', 'cli', 'ui'])
const MAX_CLIENTS = 1000
/** `last_seen` is for people; it need not cost a write at every connection. */
const SEEN_EVERY_MS = 60_000

export const hashToken = (token: string): Buffer => createHash('sha256').update(token, 'utf8').digest()

/** `clients.json`: who may use `agent.sock`. It holds hashes of tokens, never a token. */
export class ClientStore {
  readonly #path: string
  readonly #clock: Clock
  #clients: readonly StoredClient[]

  constructor(path: string, clock: Clock) {
    this.#path = path
    this.#clock = clock
    this.#clients = load(path)
  }

  list(): ClientInfo[] {
    return this.#clients.map(({ token_sha256: _hash, ...info }) => info)
  }

  /** The new client's token, which nothing keeps: 32 random bytes. */
  add(name: string): string {
    if (RESERVED.has(name)) throw refused(`The name ${name} is the app's own.`, 'Choose another name.')
    if (this.#clients.some((client) => client.name === name))
      throw refused(`There is a client ${name} already.`, 'Choose another name, or revoke it first.')
    if (this.#clients.length >= MAX_CLIENTS) throw refused('There are too many clients.', 'Revoke some.')
    const token = `bsm_${randomBytes(32).toString('base64url')}`
    const created_at = this.#clock.now().toISOString()
    const token_sha256 = hashToken(token).toString('hex')
    this.#save([...this.#clients, { name, created_at, last_seen: null, token_sha256 }])
    return token
  }

  revoke(name: string): void {
    const rest = this.#clients.filter((client) => client.name !== name)
    if (rest.length === this.#clients.length)
      throw refused(`There is no client ${name}.`, 'See `bsm clients list`.')
    this.#save(rest)
  }

  /** Whether `token` is the one of the client of this name; takes as long when it is not. */
  authenticate(name: string, token: string): boolean {
    const given = hashToken(token)
    const client = this.#clients.find((candidate) => candidate.name === name)
    const expected = client === undefined ? randomBytes(32) : Buffer.from(client.token_sha256, 'hex')
    const matches = timingSafeEqual(given, expected) && client !== undefined
    if (matches) this.#saw(client)
    return matches
  }

  #saw(client: StoredClient): void {
    const now = this.#clock.now()
    if (client.last_seen !== null && now.getTime() - Date.parse(client.last_seen) < SEEN_EVERY_MS) return
    const seen = { ...client, last_seen: now.toISOString() }
    try {
      this.#save(this.#clients.map((other) => (other === client ? seen : other)))
    } catch {
      // A full disk must not lock a client out.
    }
  }

  #save(clients: readonly StoredClient[]): void {
    try {
      replaceFile(this.#path, `${JSON.stringify(clients, null, 2)}\n`)
    } catch (error) {
      throw fileError(error, 'save clients.json')
    }
    this.#clients = clients
  }
}

/** Does what a person asked, over whatever they asked it. */
export function administerClients(
  clients: { list: ClientStore['list']; add(name: string): string; revoke(name: string): void },
  action: ClientsAction,
): ClientsAnswer {
  switch (action.do) {
    case 'list':
      return { clients: clients.list() }
    case 'add': {
      const token = clients.add(action.name)
      return { clients: clients.list(), token }
    }
    case 'revoke':
      clients.revoke(action.name)
      return { clients: clients.list() }
  }
}

function load(path: string): readonly StoredClient[] {
  try {
    const text = readSmallFile(path, 1024 * 1024)
    return text === null ? [] : z.array(StoredClient).parse(JSON.parse(text))
  } catch (error) {
    throw new BsmError('BOOT_CONFIG_INVALID', 'app', `${path} cannot be read as a list of clients.`, {
      nextStep: 'Restore it, or delete it and give every agent a new token.',
      cause: error,
    })
  }
}

const refused = (message: string, nextStep: string): BsmError =>
  new BsmError('BAD_REQUEST', 'app', message, { nextStep })
