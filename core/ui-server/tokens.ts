import { randomBytes } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { hashToken } from '../clients.ts'

const TOKEN_MS = 60_000
const SESSION_IDLE_MS = 12 * 60 * 60_000
/** Outstanding at once; the oldest gives way. */
const MAX_TOKENS = 16
const MAX_SESSIONS = 64

/**
 * Who may open the page (protocol §5): a token works once, within 60 s; a session lets the page it was
 * given to come back, until the app ends or nobody used it for 12 h. Both are kept as hashes, in memory.
 */
export class UiCredentials {
  readonly #clock: Clock
  /** Hash → monotonic time at which it ends; the order of the keys is the order of making. */
  readonly #tokens = new Map<string, number>()
  readonly #sessions = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  mintToken(): string {
    return this.#mint(this.#tokens, TOKEN_MS, MAX_TOKENS)
  }

  mintSession(): string {
    return this.#mint(this.#sessions, SESSION_IDLE_MS, MAX_SESSIONS)
  }

  /** True once for each token, if it came in time. */
  spendToken(token: string): boolean {
    const key = keyOf(token)
    const ends = this.#tokens.get(key)
    this.#tokens.delete(key)
    return ends !== undefined && this.#clock.monotonic() < ends
  }

  useSession(session: string): boolean {
    const key = keyOf(session)
    const ends = this.#sessions.get(key)
    this.#sessions.delete(key)
    if (ends === undefined || this.#clock.monotonic() >= ends) return false
    this.#sessions.set(key, this.#clock.monotonic() + SESSION_IDLE_MS)
    return true
  }

  #mint(into: Map<string, number>, livesMs: number, atMost: number): string {
    const secret = randomBytes(32).toString('base64url')
    into.set(keyOf(secret), this.#clock.monotonic() + livesMs)
    for (const oldest of into.keys()) {
      if (into.size <= atMost) break
      into.delete(oldest)
    }
    return secret
  }
}

/** Looked up by hash: how long that takes says nothing about the secret. */
const keyOf = (secret: string): string => hashToken(secret).toString('hex')
