import { createHash } from 'node:crypto'
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  lstatSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fileError, fsyncDirectory } from '../files.ts'
import type { Paths } from '../paths.ts'
import { BsmError, type AuditVerdict } from '../protocol/index.ts'
import {
  entryLine,
  MAX_ENTRY_BYTES,
  openEntry,
  sealEntry,
  type AuditEntry,
  type AuditFacts,
  type AuditKind,
} from './entry.ts'
import { HeadFile, type AuditHead } from './head.ts'
import { judge, walkLog } from './verify.ts'

export interface AuditOptions {
  readonly logPath: string
  readonly headPath: string
  readonly key: Buffer
  readonly now?: () => Date
}

/** Beside the key, one for each state directory: whoever can change the log shall not reach its count. */
export const headPathOf = (paths: Paths): string =>
  join(
    paths.configDir,
    `audit-head-${createHash('sha256').update(paths.stateDir).digest('hex').slice(0, 16)}`,
  )

/**
 * `audit.jsonl` (protocol §5): hash-chained, append-only, on disk when {@link append} returns.
 *
 * Order of every append: the head that names the entry, the entry, the head that counts it. The last of
 * the three need not wait for the disk: what it would say follows from the first two.
 *
 * A log that was tampered with is continued from the signed head, so that the wound stays visible in the
 * chain for ever instead of being healed by the next start.
 */
export class AuditLog {
  readonly #options: AuditOptions
  readonly #fd: number
  readonly #head: HeadFile
  #size: number
  #count: number
  #last: string | null
  /** Half a line lies at the end and could not be taken back: the next start settles it. */
  #torn = false

  private constructor(options: AuditOptions, fd: number, head: HeadFile, start: AuditHead, size: number) {
    this.#options = options
    this.#fd = fd
    this.#head = head
    this.#size = size
    this.#count = start.count
    this.#last = start.hash
  }

  /** Opens the log, settles what a crash left, and records what it had to do. Throws a sentence. */
  static open(options: AuditOptions): AuditLog {
    try {
      return openLog(options, (fd, head, start, size) => new AuditLog(options, fd, head, start, size))
    } catch (error) {
      throw fileError(error, 'open the audit log')
    }
  }

  /** Hash of the last entry. */
  get head(): string | null {
    return this.#last
  }

  /** Writes one entry; it is on disk when this returns. Throws a sentence, and then nothing was written. */
  append(kind: AuditKind, facts: AuditFacts = {}): string {
    if (this.#torn) throw tornError()
    const ts = (this.#options.now?.() ?? new Date()).toISOString()
    const entry = sealEntry(this.#count + 1, this.#last, ts, kind, withoutUndefined(facts))
    const line = entryLine(entry)
    if (line.length > MAX_ENTRY_BYTES)
      throw new BsmError(
        'INTERNAL_BUG',
        'app',
        `An audit entry of kind ${kind} is ${line.length} bytes long.`,
      )
    try {
      this.#head.write({ count: this.#count, hash: this.#last, next: entry.hash }, true)
      this.#write(line)
    } catch (error) {
      throw fileError(error, 'write the audit log')
    }
    this.#count = entry.seq
    this.#last = entry.hash
    this.#countIt()
    return entry.hash
  }

  /** A full disk may have taken half a line, and the next entry must not be glued to it. */
  #takeBack(): void {
    try {
      ftruncateSync(this.#fd, this.#size)
    } catch {
      this.#torn = true
    }
  }

  #countIt(): void {
    try {
      this.#head.write({ count: this.#count, hash: this.#last, next: null }, false)
    } catch {
      // The entry is written and its head announced it; the next append tries to say more, and throws.
    }
  }

  #write(line: Buffer): void {
    try {
      let written = 0
      while (written < line.length) written += writeSync(this.#fd, line, written)
      fdatasyncSync(this.#fd)
      this.#size += line.length
    } catch (error) {
      this.#takeBack()
      throw error
    }
  }

  async verify(): Promise<AuditVerdict> {
    return verifyAudit(this.#options)
  }

  /** The newest entry of `kind` for which `matches` holds, or null. Reads the whole log. */
  async find(kind: AuditKind, matches: (entry: AuditEntry) => boolean): Promise<AuditEntry | null> {
    let found: AuditEntry | null = null
    const visit = (entry: AuditEntry): void => {
      if (entry.kind === kind && matches(entry)) found = entry
    }
    await walkLog(this.#options.logPath, { size: sizeOf(this.#options.logPath), visit })
    return found
  }

  close(): void {
    closeSync(this.#fd)
    this.#head.close()
  }
}

/** Checks a log against its signed head; also usable while no app runs. */
export async function verifyAudit(options: AuditOptions): Promise<AuditVerdict> {
  // Both before the first await: nothing is appended between them.
  const head = HeadFile.read(options.headPath, options.key)
  const size = sizeOf(options.logPath)
  return judge(await walkLog(options.logPath, { count: head?.count ?? 0, size }), head)
}

const sizeOf = (path: string): number => lstatSync(path, { throwIfNoEntry: false })?.size ?? 0

const tornError = (): BsmError =>
  new BsmError(
    'VM_LIFECYCLE_ERROR',
    'app',
    'The audit log ends in half an entry that could not be taken back.',
    {
      nextStep: 'Check the disk, then start the app again: it repairs the log.',
    },
  )

type Make = (fd: number, head: HeadFile, start: AuditHead, size: number) => AuditLog

function openLog(options: AuditOptions, make: Make): AuditLog {
  const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW
  const headFile = HeadFile.open(options.headPath, options.key)
  const fd = openSync(options.logPath, flags, 0o600)
  fsyncDirectory(dirname(options.logPath))
  const end = readEnd(fd)
  const { head } = headFile
  if (head === null) return openUnsigned(make, fd, headFile, end)

  const { last, tailBytes, size } = end
  const written = last !== null && last.hash === head.next && last.seq === head.count + 1
  const start = written ? { ...head, count: head.count + 1, hash: last.hash } : head
  const wholeAsSigned = (last?.hash ?? null) === start.hash && (last?.seq ?? 0) === start.count
  const torn = tailBytes > 0 && !written && head.next !== null && wholeAsSigned

  if (torn) ftruncateSync(fd, size - tailBytes)
  else if (tailBytes > 0) terminate(fd)
  const log = make(fd, headFile, start, fstatSync(fd).size)
  if (torn) log.append('audit_repaired', { dropped_bytes: tailBytes })
  else if (!wholeAsSigned || tailBytes > 0)
    log.append('audit_tampering_found', {
      message: 'The log does not end with the entry that was signed.',
      signed_count: start.count,
      found_seq: last?.seq ?? 0,
    })
  return log
}

/** Without a head that verifies the log is either new, or nobody can vouch for it. */
function openUnsigned(make: Make, fd: number, headFile: HeadFile, end: LogEnd): AuditLog {
  const start = { generation: 0, count: end.last?.seq ?? 0, hash: end.last?.hash ?? null, next: null }
  if (end.tailBytes > 0) terminate(fd)
  const log = make(fd, headFile, start, fstatSync(fd).size)
  if (end.size > 0)
    log.append('audit_tampering_found', {
      message: 'The signed entry count is missing or was not signed with this key.',
      found_seq: start.count,
    })
  return log
}

/** Bytes that are not ours are kept, as a line of their own, which no verification will pass. */
const terminate = (fd: number): number => writeSync(fd, '\n')

interface LogEnd {
  readonly last: AuditEntry | null
  readonly tailBytes: number
  readonly size: number
}

/** The last whole entry, found from the end: starting must not take longer as the log grows. */
function readEnd(fd: number): LogEnd {
  const { size } = fstatSync(fd)
  const from = Math.max(0, size - 2 * MAX_ENTRY_BYTES)
  const bytes = Buffer.alloc(size - from)
  for (let at = 0; at < bytes.length;) {
    const got = readSync(fd, bytes, at, bytes.length - at, from + at)
    if (got === 0) break
    at += got
  }
  const newline = bytes.lastIndexOf(0x0a)
  const tailBytes = bytes.length - newline - 1
  if (newline === -1) return { last: null, tailBytes: size, size }
  const start = newline === 0 ? 0 : bytes.lastIndexOf(0x0a, newline - 1) + 1
  return { last: openEntry(bytes.toString('utf8', start, newline)), tailBytes, size }
}

function withoutUndefined(facts: AuditFacts): AuditFacts {
  return Object.fromEntries(
    Object.entries(facts)
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => [key, isFacts(value) ? withoutUndefined(value) : value]),
  )
}

const isFacts = (value: unknown): value is AuditFacts =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
