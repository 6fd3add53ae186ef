import { isUtf8 } from 'node:buffer'
import { duplicateKey } from './duplicate-key.ts'
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

/** A JSON text that is too deep or too manifold, or repeats a key; the message is a sentence without its full stop. */
export class JsonFormError extends SyntaxError {
  override readonly name = 'JsonFormError'
}

/** Why {@link parseJsonLine} refused a line, as a sentence for whoever sent it. */
export const whyNotParsed = (thrown: unknown): string =>
  thrown instanceof JsonFormError ? `The ${thrown.message}.` : 'The line is not JSON.'

/**
 * Throws a {@link JsonFormError} when a JSON text is too deep or has too many parts to be parsed, in one scan that
 * ends at the first offence. A parser and a schema take longer for a thousand small values than for one
 * large one: the bytes alone bound nothing. A part is a `{`, `[` or `,` outside of strings.
 */
export function checkJsonSize(text: string, maxNodes: number = LIMITS.jsonNodes): void {
  let depth = 0
  let nodes = 0
  for (let i = 0; i < text.length; i += 1) {
    const c = text.charCodeAt(i)
    if (c === 0x22) {
      i = endOfJsonString(text, i)
      if (i === -1) return
    } else if (c === 0x7b || c === 0x5b) {
      nodes += 1
      depth += 1
      if (depth > LIMITS.jsonDepth)
        throw new JsonFormError(`JSON is nested deeper than ${LIMITS.jsonDepth} levels`)
    } else if (c === 0x2c) nodes += 1
    else if (c === 0x7d || c === 0x5d) depth -= 1
    if (nodes > maxNodes) throw new JsonFormError(`JSON has more than ${maxNodes} values`)
  }
}

/** Index of the quote that closes the string opened at `start`, or -1; at the speed of `indexOf`. */
export function endOfJsonString(text: string, start: number): number {
  let end = start
  for (;;) {
    end = text.indexOf('"', end + 1)
    if (end === -1) return -1
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === 0x5c) backslashes += 1
    if (backslashes % 2 === 0) return end
  }
}

/** Parses one line; throws a `SyntaxError` with a sentence when it is not JSON, too deep or too manifold, or repeats a key. */
export function parseJsonLine(text: string, maxNodes: number = LIMITS.jsonNodes): unknown {
  checkJsonSize(text, maxNodes)
  const repeated = duplicateKey(text)
  if (repeated !== null) throw new JsonFormError(`key ${JSON.stringify(repeated.slice(0, 64))} is repeated`)
  return JSON.parse(text) as unknown
}
