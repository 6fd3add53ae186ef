import { BsmError, JsonFormError, LIMITS, parseStrictJson } from '../../../core/protocol/index.ts'

/** Frames: `u32be length ‖ UTF-8 JSON` (§3). */

export function encodeFrame(message: unknown): Buffer {
  const body = Buffer.from(JSON.stringify(message), 'utf8')
  const frame = Buffer.allocUnsafe(4 + body.length)
  frame.writeUInt32BE(body.length, 0)
  body.copy(frame, 4)
  return frame
}

const malformed = (message: string, cause?: unknown): BsmError =>
  new BsmError('FRAME_MALFORMED', 'guest', message, {
    nextStep: 'Reset the VM.',
    ...(cause === undefined ? {} : { cause }),
  })

/** Joins a byte stream into frames. Memory is taken for bytes that came, never for a length announced. */
export class FrameParser {
  readonly #maxBytes: number
  /** An unfinished frame, at the start of a buffer that grows by doubling: a guest that sends single bytes costs its bytes. */
  #buffer: Buffer = Buffer.alloc(0)
  #held = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Bytes of an unfinished frame; not zero for 30 s without a byte is `FRAME_MALFORMED`. */
  get held(): number {
    return this.#held
  }

  /** Frame bodies completed by `chunk`. Throws `FRAME_TOO_LARGE` or `FRAME_MALFORMED`. */
  push(chunk: Buffer): Buffer[] {
    let rest = this.#held === 0 ? chunk : this.#appended(chunk)
    const bodies: Buffer[] = []
    for (;;) {
      const length = this.#nextLength(rest)
      if (length === null || rest.length < 4 + length) break
      bodies.push(rest.subarray(4, 4 + length))
      rest = rest.subarray(4 + length)
    }
    // A copy, unless it lies in our buffer and nobody has been handed bytes of that.
    if (this.#held === 0 || bodies.length > 0) this.#buffer = Buffer.from(rest)
    this.#held = rest.length
    return bodies
  }

  #appended(chunk: Buffer): Buffer {
    const length = this.#held + chunk.length
    if (length > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(length, 2 * this.#buffer.length))
      this.#buffer.copy(larger, 0, 0, this.#held)
      this.#buffer = larger
    }
    chunk.copy(this.#buffer, this.#held)
    return this.#buffer.subarray(0, length)
  }

  #nextLength(all: Buffer): number | null {
    if (all.length < 4) return null
    const length = all.readUInt32BE(0)
    if (length === 0) throw malformed('A frame of no bytes came from the guest.')
    if (length > this.#maxBytes)
      throw new BsmError(
        'FRAME_TOO_LARGE',
        'guest',
        `A frame of ${length} bytes came; ${this.#maxBytes} are allowed.`,
        {
          nextStep: 'Reset the VM.',
        },
      )
    return length
  }
}

// A byte order mark is no JSON (RFC 8259 §8.1), and a decoder that drops it would have two readers differ.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** One frame body as a value of at most `maxNodes` parts. Throws `FRAME_MALFORMED`. */
export function parseFrame(body: Buffer, maxNodes: number = LIMITS.jsonNodes): unknown {
  let text: string
  try {
    text = utf8.decode(body)
  } catch (cause) {
    throw malformed('A frame is not UTF-8.', cause)
  }
  try {
    return parseStrictJson(text, maxNodes)
  } catch (cause) {
    throw malformed(
      cause instanceof JsonFormError ? `A frame's ${cause.message}.` : 'A frame is not JSON.',
      cause,
    )
  }
}

export const frameLimit = (port: number): number =>
  port >= 1026 ? LIMITS.controlFrameBytes : LIMITS.frameBytes

export const nodeLimit = (port: number): number => (port >= 1026 ? LIMITS.controlNodes : LIMITS.jsonNodes)
