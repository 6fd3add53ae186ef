import { randomUUID } from 'node:crypto'
import { createConnection, type Socket } from 'node:net'
import { LineSplitter } from '../../core/protocol/index.ts'
import { DeadlineError, within } from './deadline.ts'
import type { Credentials } from './socket-proxy.ts'

export type Message = Record<string, unknown> & { error?: { code: string; message: string } }

const ANSWER_MS = 20_000
/** Kept of what was heard. */
const KEPT_MESSAGES = 10_000

/** A bare client of a local socket: it sends what a proper one never would. */
export class RawPeer {
  readonly socket: Socket
  /** Everything that was heard. */
  readonly heard: Message[] = []
  readonly closed: Promise<void>
  readonly #lines = new LineSplitter(64 * 1024 * 1024)
  readonly #listeners = new Set<() => void>()

  constructor(path: string) {
    this.socket = createConnection(path)
    this.socket.on('error', () => undefined)
    this.closed = new Promise((resolve) =>
      this.socket.on('close', () => {
        resolve()
        this.#tell()
      }),
    )
    this.socket.on('data', (chunk: Buffer) => {
      for (const line of this.#lines.push(chunk))
        if (line.kind === 'line') this.heard.push(JSON.parse(line.text) as Message)
      this.heard.splice(0, this.heard.length - KEPT_MESSAGES)
      this.#tell()
    })
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }

  /** Resolves when the bytes are with the kernel, or the connection has ended. */
  send(bytes: string | Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.socket.once('close', resolve)
      this.socket.write(bytes, () => {
        this.socket.off('close', resolve)
        resolve()
      })
    })
  }

  /** Sends a request without waiting for its answer; returns its id. */
  request(kind: string, fields: object = {}): string {
    const request_id = randomUUID()
    void this.send(`${JSON.stringify({ kind, request_id, ...fields })}\n`)
    return request_id
  }

  answersTo(requestId: string): Message[] {
    return this.heard.filter((message) => message['request_id'] === requestId)
  }

  /** The first message that matches; null when the connection ended without one. */
  async hear(what: string, matches: (message: Message) => boolean, ms = ANSWER_MS): Promise<Message | null> {
    let look: () => void = () => undefined
    const found = new Promise<Message | null>((resolve) => {
      look = () => {
        const message = this.heard.find(matches)
        if (message !== undefined) resolve(message)
        else if (this.socket.destroyed) resolve(null)
      }
      this.#listeners.add(look)
      look()
    })
    try {
      return await within(ms, what, found)
    } finally {
      this.#listeners.delete(look)
    }
  }

  /** Asks, and gives the answer; null when there was none before the connection ended. */
  async ask(kind: string, fields: object = {}, ms = ANSWER_MS): Promise<Message | null> {
    const id = this.request(kind, fields)
    return await this.hear(`an answer to ${kind}`, ({ request_id }) => request_id === id, ms)
  }

  hello(credentials: Credentials): Promise<Message | null> {
    return this.ask('hello', credentials)
  }

  /** Whether it was hung up on in time. */
  async isHungUp(ms: number): Promise<boolean> {
    return await within(ms, 'its end', this.closed).then(
      () => true,
      (error: unknown) => {
        if (error instanceof DeadlineError) return false
        throw error
      },
    )
  }

  end(): void {
    this.socket.destroy()
  }
}
