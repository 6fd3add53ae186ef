import { open } from 'node:fs/promises'
import { constants } from 'node:fs'
import { errnoOf } from '../files.ts'
import { LineSplitter, type AuditVerdict } from '../protocol/index.ts'
import { MAX_ENTRY_BYTES, openEntry, type AuditEntry } from './entry.ts'
import type { AuditHead } from './head.ts'

/** What the whole lines of a log come to. */
interface LogWalk {
  /** Whole lines that chain from the first on. */
  readonly entries: number
  readonly last: AuditEntry | null
  /** Hash of entry number {@link AuditHead.count}, when the walk came so far. */
  readonly atCount: string | null
  /** Bytes after the last newline. */
  readonly tailBytes: number
  /** Bytes up to and including the last newline. */
  readonly wholeBytes: number
  /** What broke the chain and where, if anything did. */
  readonly broken: string | null
  /** First entry in which the app itself recorded a finding. */
  readonly recorded: AuditEntry | null
}

interface WalkOptions {
  /** Entry whose hash {@link LogWalk.atCount} shall give. */
  readonly count?: number
  /** Bytes to read: the log may grow meanwhile, and its head was read before. */
  readonly size: number
  readonly visit?: (entry: AuditEntry) => void
}

/** Reads the log once, in constant memory, checking each line's hash, number and predecessor. */
export async function walkLog(path: string, { count, size, visit }: WalkOptions): Promise<LogWalk> {
  const walk = {
    entries: 0,
    last: null as AuditEntry | null,
    atCount: null as string | null,
    tailBytes: 0,
    wholeBytes: 0,
    broken: null as string | null,
    recorded: null as AuditEntry | null,
  }
  await eachLine(path, size, walk, (line) => {
    if (walk.broken !== null) return
    const entry = line === null ? null : openEntry(line)
    const at = walk.entries + 1
    if (entry === null) walk.broken = `line ${at} does not match its own hash`
    else if (entry.seq !== at) walk.broken = `line ${at} says that it is entry ${entry.seq}`
    else if (entry.prev !== (walk.last?.hash ?? null))
      walk.broken = `entry ${at} does not follow entry ${at - 1}`
    if (entry === null || walk.broken !== null) return
    walk.entries = at
    walk.last = entry
    if (at === count) walk.atCount = entry.hash
    if (entry.kind === 'audit_tampering_found') walk.recorded ??= entry
    visit?.(entry)
  })
  return walk
}

/** Calls `take` with each whole line, null for an overlong one, and counts bytes into `sizes`. */
async function eachLine(
  path: string,
  size: number,
  sizes: { wholeBytes: number; tailBytes: number },
  take: (line: string | null) => void,
): Promise<void> {
  let file
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return
    throw error
  }
  try {
    const lines = new LineSplitter(MAX_ENTRY_BYTES)
    const buffer = Buffer.alloc(256 * 1024)
    for (let left = size; left > 0;) {
      const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, left), null)
      if (bytesRead === 0) return
      left -= bytesRead
      const chunk = buffer.subarray(0, bytesRead)
      const newline = chunk.lastIndexOf(0x0a)
      if (newline === -1) sizes.tailBytes += bytesRead
      else {
        sizes.wholeBytes += sizes.tailBytes + newline + 1
        sizes.tailBytes = bytesRead - newline - 1
      }
      for (const line of lines.push(Buffer.from(chunk))) take(line.kind === 'line' ? line.text : null)
    }
  } finally {
    await file.close()
  }
}

/**
 * What a log and its signed head say together. A crash leaves the log with or without the one entry that
 * the head announces as next, or with a torn part of it; everything else was done by someone else.
 */
export function judge(walk: LogWalk, head: AuditHead | null): AuditVerdict {
  const verdict = (finding: AuditVerdict['finding'], message: string): AuditVerdict => ({
    ok: finding === 'none',
    entries: walk.entries,
    head: walk.last?.hash ?? null,
    finding,
    message,
  })
  const empty = walk.wholeBytes + walk.tailBytes === 0
  if (head === null && empty) return verdict('none', 'The audit log is empty.')
  if (head === null)
    return verdict(
      'missing_tail',
      'No signed entry count vouches for the log, so a cut tail could not be seen.',
    )
  if (walk.broken !== null) return verdict('broken_chain', `The log was changed: ${walk.broken}.`)
  if (walk.entries < head.count)
    return verdict('missing_tail', `The log ends after entry ${walk.entries} of ${head.count}.`)
  if (head.count > 0 && walk.atCount !== head.hash)
    return verdict(
      'broken_chain',
      `The log was rewritten: entry ${head.count} is not the one that was signed.`,
    )
  const surplus = walk.entries - head.count
  if (surplus > 1 || (surplus === 1 && walk.last?.hash !== head.next))
    return verdict('broken_chain', `Entries after number ${head.count} were not written by the app.`)
  if (walk.tailBytes > 0 && (surplus === 1 || head.next === null))
    return verdict(
      'broken_chain',
      `${walk.tailBytes} bytes after the last entry were not written by the app.`,
    )
  if (walk.recorded !== null)
    return verdict(
      'broken_chain',
      `Entry ${walk.recorded.seq} records tampering that was found when the app started.`,
    )
  if (walk.tailBytes > 0)
    return verdict('torn_tail', 'The last entry is torn: the app or the machine stopped while writing it.')
  return verdict('none', `All ${walk.entries} entries chain up to the signed head.`)
}
