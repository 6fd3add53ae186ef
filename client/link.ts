import { Connection, type Credentials } from './connection.ts'
import { connectionClosed } from './errors.ts'

/** A connection that is made when it is needed, and made again after it was lost. */
export class Link {
  readonly #credentials: Credentials
  readonly #timeoutMs: number
  #connection: Promise<Connection> | null = null
  #closed = false

  /** `timeoutMs` bounds each attempt to connect. */
  constructor(credentials: Credentials, timeoutMs: number) {
    this.#credentials = credentials
    this.#timeoutMs = timeoutMs
  }

  /** The live connection, or a new one. */
  dial(): Promise<Connection> {
    if (this.#closed) return Promise.reject(connectionClosed())
    if (this.#connection === null) {
      const opened = this.#open(() => {
        // Not a newer one that has taken its place.
        if (this.#connection === opened) this.#connection = null
      })
      this.#connection = opened
    }
    return this.#connection
  }

  /** For good. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true
    await this.hangUp()
  }

  /** Ends the connection there is; the next {@link dial} makes a new one. */
  async hangUp(): Promise<void> {
    const opened = this.#connection
    // At once: who dials from now on must not get what is about to end.
    this.#connection = null
    const connection = await opened?.catch(() => null)
    connection?.close()
  }

  async #open(forget: () => void): Promise<Connection> {
    try {
      const connection = await Connection.open(this.#credentials, { timeoutMs: this.#timeoutMs })
      connection.listen({ onEvent: () => undefined, onEnd: forget })
      return connection
    } catch (error) {
      forget()
      throw error
    }
  }
}
