import { isUtf8 } from 'node:buffer'
import { LIMITS } from './limits.ts'

/** A complete line, or the news that one was too long and is being thrown away. */
export type Line = { kind: 'line'; text: string } | { kind: 'too_long' }

/**
 * Splits a byte stream into lines without ever holding more than `maxBytes` of one (§2).
 *
 * An overlong line is reported once, where the limit is passed, and the rest of it is skipped.
 */
export class LineSplitter {
  readonly #maxBytes: number
  #parts: Buffer[] = []
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
      this.#take(chunk.subarray(start, end), lines)
      if (newline === -1) break
      this.#finish(lines)
      start = newline + 1
    }
    return lines
  }

  #take(part: Buffer, lines: Line[]): void {
    if (this.#skipping || part.length === 0) return
    if (this.#held + part.length > this.#maxBytes) {
      this.#parts = []
      this.#held = 0
      this.#skipping = true
      lines.push({ kind: 'too_long' })
      return
    }
    this.#parts.push(part)
    this.#held += part.length
  }

  #finish(lines: Line[]): void {
    if (!this.#skipping) {
      const text = decode(Buffer.concat(this.#parts)).replace(/\r$/, '')
      if (text.trim() !== '') lines.push({ kind: 'line', text })
    }
    this.#parts = []
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

/** A JSON text that is too deep or too manifold to be parsed; the message is a sentence without its full stop. */
export class JsonSizeError extends SyntaxError {
  override readonly name = 'JsonSizeError'
}

/** Why {@link parseJsonLine} refused a line, as a sentence for whoever sent it. */
export const whyNotParsed = (thrown: unknown): string =>
  thrown instanceof JsonSizeError ? `The ${thrown.message}.` : 'The line is not JSON.'

/**
 * Throws a {@link JsonSizeError} when a JSON text is too deep or has too many parts to be parsed, in one scan that
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
        throw new JsonSizeError(`JSON is nested deeper than ${LIMITS.jsonDepth} levels`)
    } else if (c === 0x2c) nodes += 1
    else if (c === 0x7d || c === 0x5d) depth -= 1
    if (nodes > maxNodes) throw new JsonSizeError(`JSON has more than ${maxNodes} values`)
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

/** Parses one line; throws a `SyntaxError` with a sentence when it is not JSON, too deep or too manifold. */
export function parseJsonLine(text: string, maxNodes: number = LIMITS.jsonNodes): unknown {
  checkJsonSize(text, maxNodes)
  return JSON.parse(text) as unknown
}
