import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import { EvidenceChunk, type ExecResponse } from '../../core/protocol/index.ts'

/**
 * The evidence hash of a chain, computed from wire-protocol §3 alone: were it computed by the
 * product's own functions, a mistake in them would agree with itself.
 */
export function recomputeHash(commandId: string, chunks: Buffer[]): string {
  let previous = Buffer.alloc(32)
  for (const [at, chunk] of chunks.entries()) {
    const seq = Buffer.alloc(8)
    seq.writeBigUInt64BE(BigInt(at + 1))
    const size = Buffer.alloc(4)
    size.writeUInt32BE(chunk.length)
    const message = ['brainstorm-evidence-chunk-v1\0', commandId].map((text) => Buffer.from(text, 'utf8'))
    previous = createHash('sha256')
      .update(Buffer.concat([...message, seq, size, chunk, previous]))
      .digest()
  }
  return `sha256:${previous.toString('hex')}`
}

/** The stored chain of a dispatch, each line of a known shape; `data[n - 1]` is what chunk `n` carries. */
export function storedChain({ evidence_path: path }: Pick<ExecResponse, 'evidence_path'>): {
  chunks: EvidenceChunk[]
  data: Buffer[]
} {
  assert.ok(path, 'evidence_path is named')
  assert.ok(isAbsolute(path))
  const chunks = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => EvidenceChunk.parse(JSON.parse(line)))
  return { chunks, data: chunks.map((chunk) => Buffer.from(chunk.chunk_data, 'base64')) }
}
