import { isUtf8 } from 'node:buffer'
import { LIMITS } from './limits.ts'

/** A complete line, or the news that one was too long and is being thrown away. */
export type Line = { kind: 'line'; text: string } | { kind: 'too_long' }

const NOTHING = Buffer.alloc(0)

/**
 * Splits a byte stream into lines without ever holding more than `maxBytes` of one (§2).
 *
 * An overlong line is reported once, where the limit is passed, and the rest of it is skipped.
 */
export class LineSplitter {
  readonly #maxBytes: number
  /** An unfinished line, at the start of a buffer that grows by doubling: whoever sends single bytes costs their bytes. */
  #buffer: Buffer = NOTHING
  #held = 0
  #skipping = false

  constructor(maxBytes: number = LIMITS.ndjsonLineBytes) {
    this.#maxBytes = maxBytes
  }

  /** Bytes of an unfinished line. */
  get held(): number {
    return this.#held
  }

  push(chunk: Buffer): Line[] {
    const lines: Line[] = []
    let start = 0
    while (start < chunk.length) {
      const newline = chunk.indexOf(0x0a, start)
      const end = newline === -1 ? chunk.length : newline
      const part = chunk.subarray(start, end)
      if (!this.#skipping && this.#held + part.length > this.#maxBytes) {
        lines.push({ kind: 'too_long' })
        this.#clear()
        this.#skipping = true
      }
      if (newline === -1) {
        if (!this.#skipping) this.#hold(part)
        break
      }
      if (!this.#skipping) this.#finish(part, lines)
      this.#clear()
      start = newline + 1
    }
    return lines
  }

  #hold(part: Buffer): void {
    const length = this.#held + part.length
    if (length > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.min(this.#maxBytes, Math.max(length, 2 * this.#buffer.length)))
      this.#buffer.copy(larger, 0, 0, this.#held)
      this.#buffer = larger
    }
    part.copy(this.#buffer, this.#held)
    this.#held = length
  }

  #finish(part: Buffer, lines: Line[]): void {
    if (this.#held > 0) this.#hold(part)
    const whole = this.#held > 0 ? this.#buffer.subarray(0, this.#held) : part
    const text = decode(whole).replace(/\r$/, '')
    if (text.trim() !== '') lines.push({ kind: 'line', text })
  }

  #clear(): void {
    this.#buffer = NOTHING
    this.#held = 0
    this.#skipping = false
  }
}

/**
 * UTF-8 as text. Bytes that are not UTF-8 become a text that no JSON parser takes: replaced silently
 * inside a string, they would have something else run than was asked.
 */
function decode(bytes: Buffer): string {
  return isUtf8(bytes) ? bytes.toString('utf8') : `\ufffd not UTF-8: ${bytes.toString('latin1', 0, 40)}`
}
