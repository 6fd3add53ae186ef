import fc from 'fast-check'
import {
  BsmError,
  canonicalJson,
  capOutput,
  dispatchRecord,
  type EvidenceChunk,
  type ToolDispatch,
  type ToolResult,
} from '../../../core/protocol/index.ts'
import { entryLine, openEntry, sealEntry } from '../../../core/audit/entry.ts'
import { evidenceChain } from '../../../core/testing/evidence-chain.ts'
import { EvidenceVerifier } from '../../../helper/qemu/evidence/verifier.ts'
import { ID, OTHER_ID } from '../messages.ts'
import { changeBytes } from '../mutate.ts'
import { must } from '../../gates/broken.ts'
import { asProperty, type Target } from '../target.ts'

type Written = { stream: 1 | 2; text: string }
type Chain = {
  dispatch: Omit<ToolDispatch, 'type'>
  epoch: number
  chunks: EvidenceChunk[]
  result: ToolResult
}

/** What an honest guest sends for a dispatch that wrote `written`. */
export function honest(written: Written[], exitCode: number): Chain {
  const dispatch = { command_id: ID, tool: 'sh', params: { command: 'x' }, deadline_ms: 1000 }
  const epoch = 5
  const truncated = { stdout: false, stderr: false }
  const bodies = [
    dispatchRecord(dispatch, epoch),
    ...written.map(({ stream, text }) => Buffer.concat([Buffer.of(stream), Buffer.from(text, 'utf8')])),
    canonicalJson({ exit_code: exitCode, truncated, duration_ms: 7 }),
  ]
  const { chunks, hash } = evidenceChain(ID, bodies)
  const of = (stream: 1 | 2) =>
    capOutput(
      Buffer.from(
        written
          .filter((one) => one.stream === stream)
          .map(({ text }) => text)
          .join(''),
      ),
    )
  const [out, err] = [of(1), of(2)]
  return {
    dispatch,
    epoch,
    chunks,
    result: {
      type: 'ToolResult',
      command_id: ID,
      exit_code: exitCode,
      stdout: out.text,
      stderr: err.text,
      evidence_hash: hash,
      truncated,
      stdout_bytes: out.bytes,
      stderr_bytes: err.bytes,
      encoding: { stdout: out.encoding, stderr: err.encoding },
      duration_ms: 7,
    },
  }
}

const written: fc.Arbitrary<Written[]> = fc.array(
  fc.record({ stream: fc.constantFrom<1 | 2>(1, 2), text: fc.string({ minLength: 1, maxLength: 12 }) }),
  { minLength: 1, maxLength: 5 },
)

const LIES = [
  ...(['drop', 'repeat', 'swap', 'other-id', 'size', 'byte', 'early-end', 'after-end', 'seq'] as const),
  ...(['exit', 'stdout', 'stderr', 'hash', 'bytes', 'truncated', 'duration', 'epoch', 'result-id'] as const),
]
type Lie = (typeof LIES)[number]

/** The chain with one thing in it untrue. Null where this lie would change nothing. */
function lied({ dispatch, epoch, chunks, result }: Chain, lie: Lie, at: number): Chain | null {
  const i = at % chunks.length
  const chunk = chunks[i]
  const next = chunks[i + 1]
  if (chunk === undefined) return null
  const all = (...changed: EvidenceChunk[]): Chain => ({ dispatch, epoch, result, chunks: changed })
  const put = (change: Partial<EvidenceChunk>) =>
    all(...chunks.map((one, j) => (j === i ? { ...one, ...change } : one)))
  const said = (change: Partial<ToolResult>): Chain => ({
    dispatch,
    epoch,
    chunks,
    result: { ...result, ...change },
  })
  switch (lie) {
    case 'drop':
      return all(...chunks.filter((_, j) => j !== i))
    case 'repeat':
      return all(...chunks.slice(0, i + 1), chunk, ...chunks.slice(i + 1))
    case 'swap':
      return next === undefined ? null : all(...chunks.slice(0, i), next, chunk, ...chunks.slice(i + 2))
    case 'other-id':
      return put({ command_id: OTHER_ID })
    case 'size':
      return put({ chunk_size: chunk.chunk_size + 1 })
    case 'byte': {
      const data = Buffer.from(chunk.chunk_data, 'base64')
      data[at % data.length] = (data[at % data.length] ?? 0) ^ 0x41
      return put({ chunk_data: data.toString('base64') })
    }
    case 'early-end':
      return i === 0 || chunk.is_terminal ? null : put({ is_terminal: true })
    case 'after-end':
      return all(...chunks, { ...chunk, seq: chunks.length + 1, is_terminal: false })
    case 'seq':
      return put({ seq: chunk.seq + 1 + (at % 5) })
    case 'exit':
      return said({ exit_code: result.exit_code + 1 })
    case 'stdout':
      return said({ stdout: `${result.stdout}!` })
    case 'stderr':
      return said({ stderr: `${result.stderr}!` })
    case 'hash':
      return said({ evidence_hash: `sha256:${'00'.repeat(32)}` })
    case 'bytes':
      return said({ stdout_bytes: result.stdout_bytes + 1 })
    case 'truncated':
      return said({ truncated: { stdout: true, stderr: false } })
    case 'duration':
      return said({ duration_ms: result.duration_ms + 1 })
    case 'epoch':
      return { dispatch, epoch: epoch + 1, chunks, result }
    case 'result-id':
      return said({ command_id: OTHER_ID })
  }
}

function verify({ dispatch, epoch, chunks, result }: Chain): 'accepted' | BsmError {
  try {
    const verifier = new EvidenceVerifier(dispatch, epoch)
    for (const chunk of chunks) verifier.push(chunk)
    verifier.finish(result)
    return 'accepted'
  } catch (error) {
    must(error instanceof BsmError && /^EVIDENCE_/.test(error.code), String(error))
    return error
  }
}

const evidence: Target = {
  id: 'evidence.one-lie',
  promise: 'An honest chain is accepted, and the same chain with one thing untrue in it never is.',
  inputs: 40_000,
  property: () =>
    asProperty(
      fc.property(written, fc.nat(3), fc.constantFrom(...LIES), fc.nat(10_000), (wrote, exit, lie, at) => {
        const chain = honest(wrote, exit)
        must(verify(chain) === 'accepted', 'an honest chain was refused')
        const changed = lied(chain, lie, at)
        must(changed === null || verify(changed) !== 'accepted', `the lie "${lie}" was accepted`)
      }),
    ),
}

const audit: Target = {
  id: 'audit.entry',
  promise: 'A changed line of the audit log is never taken for an entry.',
  inputs: 40_000,
  property: () => {
    const entry = sealEntry(3, `sha256:${'12'.repeat(32)}`, '2026-01-02T03:04:05.678Z', 'dispatch', {
      command_id: ID,
      client: 'agent "x"',
      exit_code: 0,
      passed: true,
    })
    const line = entryLine(entry).subarray(0, -1)
    return asProperty(
      fc.property(
        fc.nat(line.length),
        fc.constantFrom('flip', 'insert', 'delete', 'repeat', 'token', 'cut'),
        fc.integer({ min: 1, max: 9 }),
        fc.nat(255),
        fc.constantFrom(' ', '0', '"', ',"a":1', '\\u0061'),
        (at, how, n, byte, token) => {
          const changed = changeBytes(line, { at, how, n, byte, token })
          const opened = openEntry(changed.toString('utf8'))
          if (changed.equals(line)) must(opened?.hash === entry.hash, 'the true line was refused')
          else must(opened === null, `a changed line was taken: ${changed.toString('utf8')}`)
        },
      ),
    )
  },
}

export const EVIDENCE: Target[] = [evidence, audit]
