import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { errnoOf } from '../files.ts'
import {
  BsmError,
  canonicalJson,
  chunkHash,
  EvidenceChunk,
  LineSplitter,
  LIMITS,
  type ErrorCode,
} from '../protocol/index.ts'

/** What a stored chain comes to when it is computed again, without the helper's help. */
interface RecomputedChain {
  readonly chunks: number
  /** Null when the chain is broken or unfinished. */
  readonly hash: string | null
  /** First chunk: the dispatch record, as the bytes that were hashed. */
  readonly opening: Buffer | null
  readonly problem: { readonly code: ErrorCode; readonly message: string } | null
}

/** One chunk as a line: base64 of at most 1 MiB, with its fields. */
const LINE_BYTES = 2 * LIMITS.evidenceChunkBytes
const READ_BYTES = 1024 * 1024

/** Reads `path` chunk by chunk and computes its hash (protocol §3). Throws only what the file system throws. */
export async function recomputeChain(path: string, commandId: string): Promise<RecomputedChain> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    if (!(await file.stat()).isFile()) throw new Error('it is not a regular file')
    const chain = new Chain(commandId)
    const lines = new LineSplitter(LINE_BYTES)
    const buffer = Buffer.alloc(READ_BYTES)
    let endsWhole = true
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, READ_BYTES, null)
      if (bytesRead === 0) break
      endsWhole = buffer[bytesRead - 1] === 0x0a
      for (const line of lines.push(Buffer.from(buffer.subarray(0, bytesRead))))
        chain.take(line.kind === 'line' ? line.text : null)
    }
    if (!endsWhole) chain.fail('EVIDENCE_MISMATCH', 'The stored chain ends in the middle of a line.')
    return chain.finish()
  } finally {
    await file.close()
  }
}

class Chain {
  readonly #commandId: string
  #chunks = 0
  #hash: Buffer | null = null
  #opening: Buffer | null = null
  #ended = false
  #problem: RecomputedChain['problem'] = null

  constructor(commandId: string) {
    this.#commandId = commandId
  }

  fail(code: ErrorCode, message: string): void {
    this.#problem ??= { code, message }
  }

  take(line: string | null): void {
    if (this.#problem !== null) return
    const chunk = line === null ? null : parseChunk(line)
    const at = this.#chunks + 1
    if (chunk === null) return this.fail('EVIDENCE_MISMATCH', `Line ${at} is not an evidence chunk.`)
    if (chunk.command_id !== this.#commandId)
      return this.fail('EVIDENCE_MISMATCH', `Chunk ${at} belongs to another command.`)
    if (this.#ended) return this.fail('EVIDENCE_OUT_OF_ORDER', 'Chunks follow the terminal one.')
    if (chunk.seq !== at)
      return this.fail(disorder(chunk.seq, at), `Chunk ${at} says that it is ${chunk.seq}.`)
    const data = Buffer.from(chunk.chunk_data, 'base64')
    if (data.length !== chunk.chunk_size)
      return this.fail(
        'EVIDENCE_MISMATCH',
        `Chunk ${at} says ${chunk.chunk_size} bytes and holds ${data.length}.`,
      )
    this.#hash = chunkHash(this.#commandId, at, data, this.#hash)
    this.#opening ??= data
    this.#chunks = at
    this.#ended = chunk.is_terminal
  }

  finish(): RecomputedChain {
    if (!this.#ended) this.fail('EVIDENCE_GAP', 'The chain has no terminal chunk.')
    return {
      chunks: this.#chunks,
      hash: this.#problem === null && this.#hash !== null ? `sha256:${this.#hash.toString('hex')}` : null,
      opening: this.#opening,
      problem: this.#problem,
    }
  }
}

const disorder = (seq: number, expected: number): ErrorCode =>
  seq > expected ? 'EVIDENCE_GAP' : seq === expected - 1 ? 'EVIDENCE_DUPLICATE' : 'EVIDENCE_OUT_OF_ORDER'

function parseChunk(line: string): EvidenceChunk | null {
  try {
    const parsed = EvidenceChunk.safeParse(JSON.parse(line))
    return parsed.success ? parsed.data : null
  } catch {
    return null
  }
}

/** A missing file as its own error: the chain was pruned, or never kept. */
export function evidenceError(thrown: unknown, commandId: string): BsmError {
  if (errnoOf(thrown) !== 'ENOENT')
    return new BsmError('EVIDENCE_MISMATCH', 'app', `The chain of ${commandId} cannot be read.`, {
      nextStep: 'Check the permissions of the evidence directory.',
      cause: thrown,
    })
  return new BsmError('EVIDENCE_GAP', 'app', `No chain is kept for ${commandId}.`, {
    nextStep: `Chains of the last ${LIMITS.evidenceChains} dispatches are kept; older ones are pruned.`,
  })
}

export const sameBytes = (record: Buffer, opening: Buffer | null): boolean =>
  opening !== null && opening.equals(record)

/** Epoch that a chain's first chunk names; null when it is not a dispatch record. */
export function epochOf(opening: Buffer | null): number | null {
  try {
    const record: unknown = JSON.parse(opening?.toString('utf8') ?? '')
    if (typeof record !== 'object' || record === null || !('epoch' in record)) return null
    if (!canonicalJson(record).equals(opening ?? Buffer.alloc(0))) return null
    return typeof record.epoch === 'number' ? record.epoch : null
  } catch {
    return null
  }
}
