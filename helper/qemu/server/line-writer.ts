import { fstatSync } from 'node:fs'
import { Socket } from 'node:net'
import type { Writable } from 'node:stream'

/** Beyond this, events are dropped until the reader has caught up; responses never are. */
const HELD_BYTES = 32 * 1024 * 1024

/** Writes JSON lines without ever waiting for the reader. */
export class LineWriter {
  readonly #stream: Writable
  #dropped = 0

  constructor(stream: Writable) {
    this.#stream = stream
  }

  /** For what must arrive. */
  write(message: unknown): void {
    this.#stream.write(JSON.stringify(message) + '\n')
  }

  /** For what may be lost when no one reads. */
  writeIfRoom(message: unknown): void {
    if (this.#stream.writableLength > HELD_BYTES) this.#dropped += 1
    else this.write(message)
  }

  get dropped(): number {
    return this.#dropped
  }

  /** Resolves once everything was handed over, or after `ms`. */
  async flushed(ms: number): Promise<void> {
    if (this.#stream.writableLength === 0 || this.#stream.destroyed) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#stream.write('', () => {
        clearTimeout(timer)
        resolve()
      })
    })
  }
}

/**
 * Standard output that never blocks. Node's own `process.stdout` writes to a pipe synchronously: a
 * reader that stops reading would stop the heartbeat, and with it the helper.
 */
export function nonBlockingStdout(): Writable {
  const facts = fstatSync(1)
  return facts.isFIFO() || facts.isSocket()
    ? new Socket({ fd: 1, readable: false, writable: true })
    : process.stdout
}
