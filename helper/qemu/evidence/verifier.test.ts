import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import * as z from 'zod'
import {
  BsmError,
  canonicalJson,
  chunkHash,
  dispatchRecord,
  type EvidenceChunk,
  LIMITS,
  sha256,
  type ToolResult,
} from '../../../core/protocol/index.ts'
import { EvidenceVerifier } from './verifier.ts'

const COMMAND = '6f1c1f2e-7d0a-4b8f-9c3d-2a1b0c9d8e7f'
const dispatch = { command_id: COMMAND, tool: 'echo', params: { text: 'hi' }, deadline_ms: 1000 }
const withFiles = { ...dispatch, files_out: ['out.txt', 'gone'] }
const EPOCH = 3

/** An honest guest's chain and result, to be bent by each test. */
function honest(asked: typeof dispatch & { files_out?: string[] } = dispatch) {
  const files = asked.files_out && [
    { path: 'out.txt', mode: 0o644, data_b64: Buffer.from('abc').toString('base64') },
    { path: 'gone', error: 'no such file' },
  ]
  const record = {
    exit_code: 0,
    truncated: { stdout: false, stderr: false },
    duration_ms: 5,
    ...(files && {
      files: [
        { path: 'out.txt', mode: 0o644, digest: sha256(Buffer.from('abc')) },
        { path: 'gone', error: 'no such file' },
      ],
    }),
  }
  const datas = [
    dispatchRecord(asked, EPOCH),
    Buffer.from('\x01hello\n'),
    Buffer.from('\x02oops'),
    canonicalJson(record),
  ]
  const chunks = datas.map((data, i) => chunk(i + 1, data, i === datas.length - 1))
  const result: ToolResult = {
    type: 'ToolResult',
    command_id: COMMAND,
    exit_code: 0,
    stdout: 'hello\n',
    stderr: 'oops',
    evidence_hash: hashOf(datas),
    truncated: { stdout: false, stderr: false },
    stdout_bytes: 6,
    stderr_bytes: 4,
    encoding: { stdout: 'utf-8', stderr: 'utf-8' },
    duration_ms: 5,
    ...(files && { files }),
  }
  return { datas, chunks, result }
}

const chunk = (seq: number, data: Buffer, is_terminal = false): EvidenceChunk => ({
  type: 'EvidenceChunk',
  command_id: COMMAND,
  seq,
  chunk_data: data.toString('base64'),
  chunk_size: data.length,
  is_terminal,
})

function hashOf(datas: Buffer[]): string {
  let hash: Buffer | null = null
  datas.forEach((data, i) => (hash = chunkHash(COMMAND, i + 1, data, hash)))
  return `sha256:${Buffer.from(hash ?? []).toString('hex')}`
}

/** The code with which a chain and a result are refused, or "agreed". */
function judge(chunks: EvidenceChunk[], result: ToolResult, asked = dispatch): string {
  try {
    const verifier = new EvidenceVerifier(asked, EPOCH)
    for (const each of chunks) verifier.push(each)
    verifier.finish(result)
    return 'agreed'
  } catch (error) {
    if (error instanceof BsmError) return error.code
    throw error
  }
}

describe('an evidence chain', () => {
  let { datas, chunks, result } = honest()
  beforeEach(() => {
    ;({ datas, chunks, result } = honest())
  })

  it('that says what the result says is agreed with', () => {
    expect(judge(chunks, result)).toBe('agreed')
  })

  it('gives its output as it comes', () => {
    const verifier = new EvidenceVerifier(dispatch, EPOCH)
    const outputs = chunks.map((each) => verifier.push(each)).filter((output) => output !== null)
    expect(outputs.map(({ stream, data, seq }) => [stream, data.toString(), seq])).toEqual([
      ['stdout', 'hello\n', 2],
      ['stderr', 'oops', 3],
    ])
  })

  it('with a chunk missing has a gap', () => {
    expect(judge([...chunks.slice(0, 1), ...chunks.slice(2)], result)).toBe('EVIDENCE_GAP')
  })

  it('that does not begin at 1 has a gap', () => {
    expect(judge(chunks.slice(1), result)).toBe('EVIDENCE_GAP')
  })

  it('without an end has a gap', () => {
    expect(judge(chunks.slice(0, -1), result)).toBe('EVIDENCE_GAP')
  })

  it('with a chunk twice has a duplicate', () => {
    expect(judge([...chunks.slice(0, 2), ...chunks.slice(1)], result)).toBe('EVIDENCE_DUPLICATE')
  })

  it('that goes back is out of order', () => {
    expect(judge([...chunks.slice(0, 3), ...chunks.slice(0, 1)], result)).toBe('EVIDENCE_OUT_OF_ORDER')
  })

  it('of another epoch is a mismatch', () => {
    const stale = dispatchRecord(dispatch, EPOCH - 1)
    expect(judge([chunk(1, stale), ...chunks.slice(1)], result)).toBe('EVIDENCE_MISMATCH')
  })

  it('of another dispatch is a mismatch', () => {
    const other = dispatchRecord({ ...dispatch, params: { text: 'ho' } }, EPOCH)
    expect(judge([chunk(1, other), ...chunks.slice(1)], result)).toBe('EVIDENCE_MISMATCH')
  })

  it('with a chunk of another command is a mismatch', () => {
    const foreign = chunks.map((each, i) =>
      i === 1 ? { ...each, command_id: '00000000-0000-4000-8000-000000000000' } : each,
    )
    expect(judge(foreign, result)).toBe('EVIDENCE_MISMATCH')
  })

  it('that goes on after its end is a mismatch', () => {
    expect(judge([...chunks, chunk(5, Buffer.from('\x01more'))], result)).toBe('EVIDENCE_MISMATCH')
  })

  it('whose chunk lies about its size is a mismatch', () => {
    const short = chunks.map((each, i) => (i === 1 ? { ...each, chunk_size: 3 } : each))
    expect(judge(short, result)).toBe('EVIDENCE_MISMATCH')
  })

  it('with output of no stream is a mismatch', () => {
    const third = datas.map((data, i) => chunk(i + 1, i === 1 ? Buffer.from('\x03x') : data, i === 3))
    expect(judge(third, result)).toBe('EVIDENCE_MISMATCH')
  })

  it('with a chunk of no output is a mismatch, also when its hash was made to fit', () => {
    const bent = [...datas.slice(0, 3), Buffer.of(1), ...datas.slice(3)]
    const refitted = bent.map((data, i) => chunk(i + 1, data, i === 4))
    expect(judge(refitted, { ...result, evidence_hash: hashOf(bent) })).toBe('EVIDENCE_MISMATCH')
  })

  it('of more chunks than a dispatch may have is over the limit', () => {
    const verifier = new EvidenceVerifier(dispatch, EPOCH)
    verifier.push(chunk(1, dispatchRecord(dispatch, EPOCH)))
    const byte = Buffer.from('\x01x')
    const flood = () => {
      for (let seq = 2; seq <= LIMITS.evidenceChunks + 1; seq += 1) verifier.push(chunk(seq, byte))
    }
    expect(flood).toThrow('more evidence chunks')
    expect(verifier.failure?.code).toBe('OUTPUT_LIMIT')
    expect(verifier.collected().stdout).toHaveLength(LIMITS.evidenceChunks - 1)
  })

  it('is not begun for a dispatch whose record fits no chunk', () => {
    const env = { BIG: 'x'.repeat(LIMITS.evidenceChunkBytes) }
    expect(() => new EvidenceVerifier({ ...dispatch, env }, EPOCH)).toThrow('does not fit one evidence chunk')
  })

  it('with one byte of output changed is a mismatch, also when its hash was made to fit', () => {
    const bent = datas.map((data, i) => (i === 1 ? Buffer.from('\x01jello\n') : data))
    const refitted = bent.map((data, i) => chunk(i + 1, data, i === 3))
    expect(judge(refitted, result)).toBe('EVIDENCE_MISMATCH')
    expect(judge(refitted, { ...result, evidence_hash: hashOf(bent) })).toBe('EVIDENCE_MISMATCH')
  })

  it('whose result record is not canonical is a mismatch', () => {
    const loose = Buffer.from(
      '{"truncated": {"stdout":false,"stderr":false}, "exit_code":0, "duration_ms":5}',
    )
    const bent = [...datas.slice(0, 3), loose]
    const refitted = bent.map((data, i) => chunk(i + 1, data, i === 3))
    expect(judge(refitted, { ...result, evidence_hash: hashOf(bent) })).toBe('EVIDENCE_MISMATCH')
  })

  it.each<[string, Partial<ToolResult>]>([
    ['exit code', { exit_code: 1 }],
    ['stdout', { stdout: 'hello' }],
    ['stderr', { stderr: '' }],
    ['hash', { evidence_hash: sha256(Buffer.from('x')) }],
    ['truncation', { truncated: { stdout: true, stderr: false } }],
    ['stdout bytes', { stdout_bytes: 7 }],
    ['stderr bytes', { stderr_bytes: 5 }],
    ['encoding', { encoding: { stdout: 'base64', stderr: 'utf-8' } }],
    ['duration', { duration_ms: 6 }],
    ['error', { error: { code: 'OUTPUT_LIMIT', message: 'no' } }],
    ['files', { files: [] }],
  ])('disagrees with a result of another %s', (_, change) => {
    expect(judge(chunks, { ...result, ...change })).toBe('EVIDENCE_MISMATCH')
  })

  it('takes nothing more once it was refused', () => {
    const verifier = new EvidenceVerifier(dispatch, EPOCH)
    expect(() => verifier.push(chunks[1] ?? chunk(2, Buffer.of()))).toThrow('was due')
    expect(() => verifier.push(chunks[0] ?? chunk(1, Buffer.of()))).toThrow('was due')
  })
})

describe('files out', () => {
  it('are agreed with when the chain has their digests', () => {
    const { chunks, result } = honest(withFiles)
    expect(judge(chunks, result, withFiles)).toBe('agreed')
  })

  it('with other bytes are a mismatch', () => {
    const { chunks, result } = honest(withFiles)
    const files =
      result.files?.map((file) => ('data_b64' in file ? { ...file, data_b64: 'YWJk' } : file)) ?? []
    expect(judge(chunks, { ...result, files }, withFiles)).toBe('EVIDENCE_MISMATCH')
  })

  it('that were not asked for are a mismatch', () => {
    const { datas, result } = honest(withFiles)
    const bent = [dispatchRecord(dispatch, EPOCH), ...datas.slice(1)]
    const chunks = bent.map((data, i) => chunk(i + 1, data, i === 3))
    expect(judge(chunks, { ...result, evidence_hash: hashOf(bent) })).toBe('EVIDENCE_MISMATCH')
  })
})

const Vectors = z.object({
  chain: z.object({
    command_id: z.string(),
    evidence_hash: z.string(),
    chunks: z.array(z.object({ chunk_data: z.string(), hash: z.string() })),
  }),
})

describe("the guest's own chain", () => {
  const path = join(import.meta.dirname, '../../../guest/testdata/evidence-vectors.json')
  const { chain } = Vectors.parse(JSON.parse(readFileSync(path, 'utf8')))

  it('has the hashes that we compute, from our own dispatch record on', () => {
    const asked = { command_id: chain.command_id, tool: 'echo', params: { text: 'hé' }, deadline_ms: 5000 }
    const datas = chain.chunks.map(({ chunk_data }) => Buffer.from(chunk_data, 'base64'))
    expect(datas[0]?.toString()).toBe(dispatchRecord(asked, 7).toString())
    let hash: Buffer | null = null
    for (const [i, data] of datas.entries()) {
      hash = chunkHash(chain.command_id, i + 1, data, hash)
      expect(`sha256:${hash.toString('hex')}`).toBe(chain.chunks[i]?.hash)
    }
    expect(chain.chunks.at(-1)?.hash).toBe(chain.evidence_hash)
  })
})
