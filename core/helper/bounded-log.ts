import { LineSplitter } from '../protocol/index.ts'

/** The last lines of a stream, bounded in number and length. */
export class BoundedLog {
  readonly #maxLines: number
  readonly #maxLineBytes: number
  readonly #splitter: LineSplitter
  #lines: string[] = []

  constructor(maxLines = 200, maxLineBytes = 4096) {
    this.#maxLines = maxLines
    this.#maxLineBytes = maxLineBytes
    this.#splitter = new LineSplitter(maxLineBytes)
  }

  /** Takes bytes in; returns the lines that they completed. */
  push(chunk: Buffer): string[] {
    const fresh = this.#splitter
      .push(chunk)
      .map((line) => (line.kind === 'line' ? line.text : `(a line longer than ${this.#maxLineBytes} bytes)`))
    this.#lines = [...this.#lines, ...fresh].slice(-this.#maxLines)
    return fresh
  }

  get lines(): readonly string[] {
    return this.#lines
  }

  /** Last line that says anything. */
  get last(): string | undefined {
    return this.#lines.findLast((line) => line.trim() !== '')
  }
}
