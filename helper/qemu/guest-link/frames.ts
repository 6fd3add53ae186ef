import { BsmError, checkJsonSize, LIMITS } from '../../../core/protocol/index.ts'
import { duplicateKey } from './duplicate-key.ts'

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
  #parts: Buffer[] = []
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
    this.#parts.push(chunk)
    this.#held += chunk.length
    const bodies: Buffer[] = []
    for (;;) {
      const length = this.#nextLength()
      if (length === null || this.#held < 4 + length) return bodies
      const all = this.#joined()
      bodies.push(all.subarray(4, 4 + length))
      const rest = all.subarray(4 + length)
      this.#parts = rest.length === 0 ? [] : [rest]
      this.#held = rest.length
    }
  }

  #nextLength(): number | null {
    if (this.#held < 4) return null
    let first = this.#parts[0]
    if (first === undefined) return null
    if (first.length < 4) first = this.#joined()
    const length = first.readUInt32BE(0)
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

  #joined(): Buffer {
    const all = this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts)
    if (all === undefined) throw new TypeError('nothing held')
    this.#parts = [all]
    return all
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** One frame body as a value of at most `maxNodes` parts. Throws `FRAME_MALFORMED`. */
export function parseFrame(body: Buffer, maxNodes: number = LIMITS.jsonNodes): unknown {
  let text: string
  try {
    text = utf8.decode(body)
  } catch (cause) {
    throw malformed('A frame is not UTF-8.', cause)
  }
  // Depth and parts first: what comes after takes memory for each of them.
  try {
    checkJsonSize(text, maxNodes)
  } catch (cause) {
    throw malformed('A frame is nested too deeply or has too many parts.', cause)
  }
  const repeated = duplicateKey(text)
  if (repeated !== null) throw malformed(`A frame repeats the key ${JSON.stringify(repeated.slice(0, 64))}.`)
  try {
    return JSON.parse(text) as unknown
  } catch (cause) {
    throw malformed('A frame is not JSON.', cause)
  }
}

export const frameLimit = (port: number): number =>
  port >= 1026 ? LIMITS.controlFrameBytes : LIMITS.frameBytes

export const nodeLimit = (port: number): number => (port >= 1026 ? LIMITS.controlNodes : LIMITS.jsonNodes)
