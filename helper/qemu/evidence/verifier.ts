import {
  BsmError,
  canonicalJson,
  capOutput,
  chunkHash,
  dispatchRecord,
  type EvidenceChunk,
  type FileOut,
  LIMITS,
  parseStrictJson,
  sha256,
  type ToolDispatch,
  type ToolResult,
} from '../../../core/protocol/index.ts'
import * as z from 'zod'
import { GatheredBytes } from './gathered-bytes.ts'

/** The result record: what the terminal chunk of a chain holds. */
const ResultRecord = z.strictObject({
  exit_code: z.int(),
  truncated: z.strictObject({ stdout: z.boolean(), stderr: z.boolean() }),
  duration_ms: z.int().nonnegative(),
  error: z.string().optional(),
  files: z
    .array(
      z.union([
        z.strictObject({ path: z.string(), mode: z.int(), digest: z.string() }),
        z.strictObject({ path: z.string(), error: z.string() }),
      ]),
    )
    .optional(),
})
type ResultRecord = z.infer<typeof ResultRecord>

export type Output = { stream: 'stdout' | 'stderr'; data: Buffer; seq: number }

/** What a whole, consistent chain says. */
export type Verdict = { evidenceHash: string; record: ResultRecord; stdout: Buffer; stderr: Buffer }

const STREAM_OF: Record<number, Output['stream'] | undefined> = { 1: 'stdout', 2: 'stderr' }

/**
 * Checks one dispatch's evidence chain as it arrives (§3): order, the dispatch record against what was
 * asked, and at the end the result against the chain. Whatever differs throws `EVIDENCE_*`, and
 * nothing after that is taken.
 */
export class EvidenceVerifier {
  readonly #commandId: string
  readonly #expectedRecord: Buffer
  readonly #asked: readonly string[] | undefined
  #seq = 0
  #hash: Buffer | null = null
  #record: ResultRecord | null = null
  #output: Record<Output['stream'], GatheredBytes> = {
    stdout: new GatheredBytes(),
    stderr: new GatheredBytes(),
  }
  #outputBytes = 0
  #failure: BsmError | null = null

  /** Throws `BAD_REQUEST` for a dispatch whose record no guest could send. */
  constructor(dispatch: Omit<ToolDispatch, 'type'>, epoch: number) {
    this.#commandId = dispatch.command_id
    this.#expectedRecord = dispatchRecord(dispatch, epoch)
    if (this.#expectedRecord.length > LIMITS.evidenceChunkBytes)
      throw new BsmError(
        'BAD_REQUEST',
        'agent',
        'The record of this dispatch does not fit one evidence chunk of 1 MiB.',
        { nextStep: 'Send large data in files_in or stdin_b64, which the record holds as digests.' },
      )
    this.#asked = dispatch.files_out
  }

  get isComplete(): boolean {
    return this.#record !== null
  }

  get failure(): BsmError | null {
    return this.#failure
  }

  /** Output so far, in order of arrival. */
  collected(): { stdout: Buffer; stderr: Buffer } {
    return { stdout: this.#output.stdout.all(), stderr: this.#output.stderr.all() }
  }

  /** Takes the next chunk; returns what of it is output. */
  push(chunk: EvidenceChunk): Output | null {
    if (this.#failure !== null) throw this.#failure
    try {
      return this.#take(chunk)
    } catch (error) {
      this.#failure = BsmError.from(error, 'guest')
      throw this.#failure
    }
  }

  /** Compares the result with the chain; returns what the chain says. */
  finish(result: ToolResult): Verdict {
    if (this.#failure !== null) throw this.#failure
    const record = this.#record
    if (record === null || this.#hash === null)
      throw new BsmError('EVIDENCE_GAP', 'guest', 'The evidence chain has no end.', { nextStep: RERUN })
    const evidenceHash = `sha256:${this.#hash.toString('hex')}`
    const { stdout, stderr } = this.collected()
    const said = comparable(result)
    const derived = {
      command_id: this.#commandId,
      evidence_hash: evidenceHash,
      exit_code: record.exit_code,
      truncated: record.truncated,
      duration_ms: record.duration_ms,
      error: record.error ?? null,
      files: record.files ?? null,
      ...derivedOutput(stdout, stderr),
    }
    for (const [field, value] of Object.entries(derived))
      if (!canonicalJson(value).equals(canonicalJson(said[field as keyof typeof said])))
        throw mismatch(`The result's ${field} is not what the evidence chain says.`)
    return { evidenceHash, record, stdout, stderr }
  }

  #take(chunk: EvidenceChunk): Output | null {
    if (chunk.command_id !== this.#commandId)
      throw mismatch(`Evidence of another command (${chunk.command_id}) came.`)
    if (this.#record !== null) throw mismatch('Evidence came after the end of the chain.')
    this.#inOrder(chunk.seq)
    if (chunk.seq > LIMITS.evidenceChunks)
      throw new BsmError(
        'OUTPUT_LIMIT',
        'guest',
        'The guest sent more evidence chunks than a dispatch may have.',
        {
          nextStep: RERUN,
        },
      )
    const data = Buffer.from(chunk.chunk_data, 'base64')
    if (data.length !== chunk.chunk_size)
      throw mismatch(`Chunk ${chunk.seq} says ${chunk.chunk_size} bytes and has ${data.length}.`)
    this.#hash = chunkHash(this.#commandId, chunk.seq, data, this.#hash)
    this.#seq = chunk.seq
    if (chunk.seq === 1) return this.#takeDispatchRecord(chunk, data)
    if (chunk.is_terminal) {
      this.#record = this.#parseResultRecord(data)
      return null
    }
    return this.#takeOutput(chunk.seq, data)
  }

  #inOrder(seq: number): void {
    const next = this.#seq + 1
    if (seq === next) return
    const what = `Evidence chunk ${seq} came where ${next} was due.`
    if (seq === this.#seq) throw new BsmError('EVIDENCE_DUPLICATE', 'guest', what, { nextStep: RERUN })
    if (seq < this.#seq) throw new BsmError('EVIDENCE_OUT_OF_ORDER', 'guest', what, { nextStep: RERUN })
    throw new BsmError('EVIDENCE_GAP', 'guest', what, { nextStep: RERUN })
  }

  #takeDispatchRecord(chunk: EvidenceChunk, data: Buffer): null {
    if (chunk.is_terminal || !data.equals(this.#expectedRecord))
      throw mismatch('The dispatch record in the evidence is not what was asked.')
    return null
  }

  #takeOutput(seq: number, data: Buffer): Output {
    const stream = STREAM_OF[data[0] ?? 0]
    if (stream === undefined) throw mismatch(`Chunk ${seq} names no stream.`)
    const bytes = data.subarray(1)
    if (bytes.length === 0) throw mismatch(`Chunk ${seq} holds no output.`)
    this.#outputBytes += bytes.length
    if (this.#outputBytes > LIMITS.evidenceBytes)
      throw new BsmError('OUTPUT_LIMIT', 'guest', 'The guest sent more output than a dispatch may have.')
    this.#output[stream].add(bytes)
    return { stream, data: bytes, seq }
  }

  #parseResultRecord(data: Buffer): ResultRecord {
    let value: unknown
    try {
      value = parseStrictJson(data.toString('utf8'))
    } catch (cause) {
      throw mismatch('The result record in the evidence is not JSON.', cause)
    }
    const record = ResultRecord.safeParse(value)
    if (!record.success)
      throw mismatch('The result record in the evidence has not the form of one.', record.error)
    if (!canonicalJson(value).equals(data)) throw mismatch('The result record is not canonical JSON.')
    if (!sameFiles(this.#asked, record.data))
      throw mismatch('The files in the result record are not those that were asked for.')
    return record.data
  }
}

const RERUN = 'Run the command again; the VM is reset first.'

function mismatch(message: string, cause?: unknown): BsmError {
  return new BsmError('EVIDENCE_MISMATCH', 'guest', message, {
    nextStep: RERUN,
    ...(cause === undefined ? {} : { cause }),
  })
}

/** Every file asked for, in that order; none at all when the dispatch failed before it could be read. */
function sameFiles(asked: readonly string[] | undefined, { files, error }: ResultRecord): boolean {
  if (files === undefined) return asked === undefined || error !== undefined
  return files.length === asked?.length && files.every((file, i) => file.path === asked[i])
}

function derivedOutput(stdout: Buffer, stderr: Buffer) {
  const out = capOutput(stdout)
  const err = capOutput(stderr)
  return {
    stdout: out.text,
    stderr: err.text,
    stdout_bytes: out.bytes,
    stderr_bytes: err.bytes,
    encoding: { stdout: out.encoding, stderr: err.encoding },
    cut: { stdout: out.truncated, stderr: err.truncated },
  }
}

/** The result in the chain's terms. */
function comparable(result: ToolResult) {
  const { type: _type, files, error, ...rest } = result
  return {
    ...rest,
    error: error?.code ?? null,
    files: files?.map(withDigest) ?? null,
    cut: result.truncated,
  }
}

const withDigest = (file: FileOut) =>
  'error' in file
    ? file
    : { path: file.path, mode: file.mode, digest: sha256(Buffer.from(file.data_b64, 'base64')) }
