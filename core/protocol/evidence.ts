import { createHash } from 'node:crypto'
import canonicalize from 'canonicalize'
import type { ToolDispatch } from './guest.ts'
import { LIMITS } from './limits.ts'

/** The evidence chain (§3), and the records that open and close it. */

const PREFIX = Buffer.from('brainstorm-evidence-chunk-v1\0', 'latin1')

/** RFC 8785 JSON as UTF-8 bytes. */
export function canonicalJson(value: unknown): Buffer {
  const text = canonicalize(value)
  if (text === undefined) throw new TypeError('a value without a JSON form cannot be canonicalized')
  return Buffer.from(text, 'utf8')
}

/** `sha256:` and the hex digest of `bytes`. */
export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** Hash of one chunk; `previous` is the 32-byte hash of the one before, or null for seq 1. */
export function chunkHash(commandId: string, seq: number, data: Uint8Array, previous: Buffer | null): Buffer {
  const numbers = Buffer.alloc(12)
  numbers.writeBigUInt64BE(BigInt(seq), 0)
  numbers.writeUInt32BE(data.length, 8)
  return createHash('sha256')
    .update(PREFIX)
    .update(commandId, 'utf8')
    .update(numbers)
    .update(data)
    .update(previous ?? Buffer.alloc(32))
    .digest()
}

const present = <T>(key: string, value: T | undefined): Record<string, T> =>
  value === undefined ? {} : { [key]: value }

/** The dispatch record: what the host asked for, as the first chunk must say it. */
export function dispatchRecord(dispatch: Omit<ToolDispatch, 'type'>, epoch: number): Buffer {
  return canonicalJson({
    command_id: dispatch.command_id,
    tool: dispatch.tool,
    params: dispatch.params,
    deadline_ms: dispatch.deadline_ms,
    epoch,
    ...present(
      'files_in',
      dispatch.files_in?.map((file) => ({
        path: file.path,
        mode: file.mode,
        digest: sha256(Buffer.from(file.data_b64, 'base64')),
      })),
    ),
    ...present('files_out', dispatch.files_out),
    ...present(
      'stdin',
      dispatch.stdin_b64 === undefined ? undefined : sha256(Buffer.from(dispatch.stdin_b64, 'base64')),
    ),
    ...present('cwd', dispatch.cwd),
    ...present('env', dispatch.env),
  })
}

/** A stream as a result shows it: whole, or head and tail around a marker. */
export type CappedOutput = { text: string; encoding: 'utf-8' | 'base64'; truncated: boolean; bytes: number }

/**
 * Cuts a stream to the limit of a result (§3): the first and last half of the limit are kept, no
 * UTF-8 sequence is split, and the cut is marked. Bytes that are not UTF-8 come as base64.
 */
export function capOutput(bytes: Buffer): CappedOutput {
  const truncated = bytes.length > LIMITS.outputBytes
  const kept = truncated ? headAndTail(bytes) : bytes
  const isText = isUtf8(kept)
  return {
    text: kept.toString(isText ? 'utf8' : 'base64'),
    encoding: isText ? 'utf-8' : 'base64',
    truncated,
    bytes: bytes.length,
  }
}

function headAndTail(bytes: Buffer): Buffer {
  const half = LIMITS.outputBytes / 2
  const head = dropIncompleteEnd(bytes.subarray(0, half))
  const tail = dropContinuationStart(bytes.subarray(bytes.length - half))
  const cut = bytes.length - head.length - tail.length
  return Buffer.concat([head, Buffer.from(`\n[... ${cut} bytes cut ...]\n`), tail])
}

const isContinuation = (byte: number | undefined) => byte !== undefined && (byte & 0xc0) === 0x80

function dropContinuationStart(bytes: Buffer): Buffer {
  let start = 0
  while (start < 3 && isContinuation(bytes[start])) start += 1
  return bytes.subarray(start)
}

function dropIncompleteEnd(bytes: Buffer): Buffer {
  for (let back = 1; back <= 3 && back <= bytes.length; back += 1) {
    const byte = bytes[bytes.length - back] ?? 0
    if (isContinuation(byte)) continue
    const needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
    return needs > back ? bytes.subarray(0, bytes.length - back) : bytes
  }
  return bytes
}

function isUtf8(bytes: Buffer): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return true
  } catch {
    return false
  }
}
