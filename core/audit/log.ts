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
  /** Hears that the log has an entry more. */
  readonly onAppend?: () => void
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
  /** Bytes behind the last entry of our own. */
  #size: number
  #count: number
  #last: string | null
  /** As signed in the head; unknown in a head that does not say. */
  #degraded: boolean | undefined
  /** Half a line lies at the end and could not be taken back: the next start settles it. */
  #torn = false
  #finding: string | null = null
  /** Dispatches that an app began and, since it was killed, never recorded the end of. */
  readonly unfinished: readonly AuditEntry[]

  private constructor(options: AuditOptions, { fd, head, start, unfinished }: Opened, size: number) {
    this.#options = options
    this.#fd = fd
    this.#head = head
    this.#size = size
    this.#count = start.count
    this.#last = start.hash
    this.#degraded = start.degraded
    this.unfinished = unfinished
  }

  /** Opens the log, settles what a crash left, and records what it had to do. Throws a sentence. */
  static open(options: AuditOptions): AuditLog {
    try {
      const opened = openLog(options)
      const { found } = opened
      const log = new AuditLog(options, opened, fstatSync(opened.fd).size)
      if (found !== null) {
        log.append(found.kind, { message: found.message, ...found.facts })
        log.#finding = found.message
      }
      return log
    } catch (error) {
      throw fileError(error, 'open the audit log')
    }
  }

  /** What opening had to record, as a sentence; null when all was well. */
  get finding(): string | null {
    return this.#finding
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
      // Signed before the entry is written, so that a crash between the two does not heal.
      if (kind === 'degraded') this.#degraded = true
      this.#head.write({ ...this.#signed(), next: entry.hash }, true)
      this.#write(line)
    } catch (error) {
      throw fileError(error, 'write the audit log')
    }
    this.#count = entry.seq
    this.#last = entry.hash
    if (kind === 'recovered') this.#degraded = false
    this.#countIt()
    this.#options.onAppend?.()
    return entry.hash
  }

  /** A full disk may have taken half a line, and the next entry must not be glued to it. */
  #takeBack(size: number): void {
    try {
      ftruncateSync(this.#fd, size)
    } catch {
      this.#torn = true
    }
  }

  #countIt(): void {
    try {
      this.#head.write({ ...this.#signed(), next: null }, false)
    } catch {
      // The entry is written and its head announced it; the next append tries to say more, and throws.
    }
  }

  #signed(): Pick<AuditHead, 'count' | 'hash' | 'degraded'> {
    const degraded = this.#degraded
    return { count: this.#count, hash: this.#last, ...(degraded === undefined ? {} : { degraded }) }
  }

  /** Whether the last word on degraded mode is that it was entered. Reads the log only if the head does not say. */
  async isDegraded(): Promise<boolean> {
    const { logPath } = this.#options
    let open = false
    const visit = ({ kind }: AuditEntry): void => {
      if (kind === 'degraded') open = true
      if (kind === 'recovered') open = false
    }
    if (this.#degraded === undefined) await walkLog(logPath, { size: sizeOf(logPath), visit })
    return (this.#degraded ??= open)
  }

  #write(line: Buffer): void {
    const { size } = fstatSync(this.#fd)
    try {
      // Whoever changed the log while it is open may have left half a line, to which no entry must be glued.
      if (size !== this.#size && readEnd(this.#fd).tailBytes > 0) terminate(this.#fd)
      let written = 0
      while (written < line.length) written += writeSync(this.#fd, line, written)
      fdatasyncSync(this.#fd)
      this.#size = fstatSync(this.#fd).size
    } catch (error) {
      this.#takeBack(size)
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

interface Opened {
  readonly fd: number
  readonly head: HeadFile
  /** Where the chain goes on. */
  readonly start: AuditHead
  readonly unfinished: readonly AuditEntry[]
  readonly found: {
    readonly kind: 'audit_repaired' | 'audit_tampering_found'
    readonly message: string
    readonly facts: AuditFacts
  } | null
}

function openLog(options: AuditOptions): Opened {
  const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW
  const head = HeadFile.open(options.headPath, options.key)
  const fd = openSync(options.logPath, flags, 0o600)
  fsyncDirectory(dirname(options.logPath))
  const end = readEnd(fd)
  const opened = head.head === null ? openUnsigned(fd, head, end) : openSigned(fd, head, head.head, end)
  return { ...opened, unfinished: unfinishedIn(end.entries) }
}

/** One dispatch runs at a time, so what a killed app left is among the last entries. */
function unfinishedIn(entries: readonly AuditEntry[]): AuditEntry[] {
  const open = new Map<unknown, AuditEntry>()
  for (const entry of entries) {
    if (entry.kind === 'dispatch_started') open.set(entry.command_id, entry)
    if (entry.kind === 'dispatch' || entry.kind === 'dispatch_interrupted') open.delete(entry.command_id)
  }
  return [...open.values()]
}

function openSigned(
  fd: number,
  head: HeadFile,
  signed: AuditHead,
  { last, tailBytes, size }: LogEnd,
): Settled {
  const written = last !== null && last.hash === signed.next && last.seq === signed.count + 1
  const left = written && last.kind === 'recovered' ? { degraded: false } : {}
  const start = written ? { ...signed, ...left, count: last.seq, hash: last.hash } : signed
  const asSigned = (last?.hash ?? null) === start.hash && (last?.seq ?? 0) === start.count
  if (asSigned && tailBytes === 0) return { fd, head, start, found: null }

  if (asSigned && !written && signed.next !== null) {
    ftruncateSync(fd, size - tailBytes)
    const message = 'The last entry was torn by a crash and was cut off.'
    return {
      fd,
      head,
      start,
      found: { kind: 'audit_repaired', message, facts: { dropped_bytes: tailBytes } },
    }
  }
  if (tailBytes > 0) terminate(fd)
  const message = 'The audit log does not end with the entry that was signed: it was tampered with.'
  const facts = { signed_count: start.count, found_seq: last?.seq ?? 0 }
  return { fd, head, start, found: { kind: 'audit_tampering_found', message, facts } }
}

/** Without a head that verifies the log is either new, or nobody can vouch for it. */
function openUnsigned(fd: number, head: HeadFile, { last, tailBytes, size }: LogEnd): Settled {
  const start = { generation: 0, count: last?.seq ?? 0, hash: last?.hash ?? null, next: null }
  if (size === 0) return { fd, head, start, found: null }
  if (tailBytes > 0) terminate(fd)
  const message = "The audit log's signed entry count is missing, or was not signed with this key."
  const facts = { found_seq: start.count }
  return { fd, head, start, found: { kind: 'audit_tampering_found', message, facts } }
}

/** Bytes that are not ours are kept, as a line of their own, which no verification will pass. */
const terminate = (fd: number): number => writeSync(fd, '\n')

type Settled = Omit<Opened, 'unfinished'>

interface LogEnd {
  /** Whole entries at the end, oldest first; not all of them. */
  readonly entries: readonly AuditEntry[]
  readonly last: AuditEntry | null
  readonly tailBytes: number
  readonly size: number
}

/** The last whole entries, found from the end: starting must not take longer as the log grows. */
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
  if (newline === -1) return { entries: [], last: null, tailBytes: size, size }
  const lines = bytes.toString('utf8', 0, newline).split('\n')
  const entries = lines.map(openEntry)
  return { entries: entries.filter((entry) => entry !== null), last: entries.at(-1) ?? null, tailBytes, size }
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
