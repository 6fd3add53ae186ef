import { Readable } from 'node:stream'
import { checkJsonSize, LIMITS, LineSplitter } from '../../core/protocol/index.ts'

/** Bytes that the transport may hold: one line of the longest that gets through here. */
export const TRANSPORT_BYTES = LIMITS.ndjsonLineBytes + 64 * 1024

/**
 * The lines of a client that are fit to be parsed. The SDK's transport would end over one that is too long, and
 * would parse any depth; here such a line is left out, with a sentence for the log.
 */
export function fitLines(input: Readable, log: (line: string) => void): Readable {
  const lines = new LineSplitter()
  async function* fit() {
    for await (const chunk of input as AsyncIterable<Buffer>)
      for (const line of lines.push(chunk)) {
        const problem =
          line.kind === 'too_long' ? `it is longer than ${LIMITS.ndjsonLineBytes} bytes` : unfit(line.text)
        if (problem !== null) log(`a line of the client was left out: ${problem}`)
        else if (line.kind === 'line') yield Buffer.from(`${line.text}\n`)
      }
  }
  return Readable.from(fit())
}

function unfit(text: string): string | null {
  try {
    checkJsonSize(text)
    return null
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
