import { createHmac, timingSafeEqual } from 'node:crypto'
import { closeSync, constants, fdatasyncSync, fstatSync, openSync, readSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import * as z from 'zod'
import { errnoOf, fsyncDirectory } from '../files.ts'
import { canonicalJson, Digest } from '../protocol/index.ts'

/**
 * How many entries the log must hold and which is the last, kept outside the log and signed, so that a
 * cut tail shows.
 *
 * `next` is the entry about to be written. It is signed and on disk before the entry is, and so a crash
 * between the two leaves a log that is explained by the head: with the entry, without it, or with a torn
 * part of it. Only an entry that the head names can extend the log; nobody else can append one.
 */
export const AuditHead = z.strictObject({
  /** Rises with every write; the highest one that verifies is in force. */
  generation: z.int().nonnegative(),
  count: z.int().nonnegative(),
  hash: Digest.nullable(),
  next: Digest.nullable(),
  /** Degraded mode was entered and not left; absent where it was never recorded. */
  degraded: z.boolean().optional(),
})
export type AuditHead = z.infer<typeof AuditHead>

const SLOT_BYTES = 512
const Slot = z.strictObject({ head: AuditHead, mac: z.string().regex(/^[0-9a-f]{64}$/) })

/**
 * The head's file: two slots of one block each, written in turn, so that a torn write destroys at most
 * the older of the two.
 */
export class HeadFile {
  readonly #fd: number
  readonly #key: Buffer
  #head: AuditHead | null

  private constructor(fd: number, key: Buffer) {
    this.#fd = fd
    this.#key = key
    this.#head = newest(readSlots(fd, key))
  }

  /** Opens the file, or makes an empty one. Throws what the file system throws. */
  static open(path: string, key: Buffer): HeadFile {
    let fd: number
    try {
      fd = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW)
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error
      const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
      fd = openSync(path, flags, 0o600)
      // Written out, not left a hole: a full disk must not keep us from announcing an entry.
      writeSync(fd, Buffer.alloc(2 * SLOT_BYTES, ' '))
      fsyncDirectory(dirname(path))
    }
    return new HeadFile(fd, key)
  }

  /** Reads a head without opening it for writing; null when there is none that verifies. */
  static read(path: string, key: Buffer): AuditHead | null {
    let fd: number
    try {
      fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW)
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return null
      throw error
    }
    try {
      return newest(readSlots(fd, key))
    } finally {
      closeSync(fd)
    }
  }

  /** Null when no slot verifies: new, or not signed with our key. */
  get head(): AuditHead | null {
    return this.#head
  }

  /** `sync` waits for the disk. */
  write(head: Omit<AuditHead, 'generation'>, sync: boolean): void {
    const next: AuditHead = { ...head, generation: (this.#head?.generation ?? 0) + 1 }
    const slot = Buffer.alloc(SLOT_BYTES, ' ')
    slot.write(JSON.stringify({ head: next, mac: macOf(next, this.#key).toString('hex') }))
    writeSync(this.#fd, slot, 0, SLOT_BYTES, (next.generation % 2) * SLOT_BYTES)
    if (sync) fdatasyncSync(this.#fd)
    this.#head = next
  }

  close(): void {
    closeSync(this.#fd)
  }
}

const macOf = (head: AuditHead, key: Buffer): Buffer =>
  createHmac('sha256', key).update('brainstorm-audit-head-v1\0').update(canonicalJson(head)).digest()

function readSlots(fd: number, key: Buffer): AuditHead[] {
  const heads: AuditHead[] = []
  const bytes = Buffer.alloc(2 * SLOT_BYTES)
  if (!fstatSync(fd).isFile()) return heads
  const length = readSync(fd, bytes, 0, bytes.length, 0)
  for (let at = 0; at < length; at += SLOT_BYTES) {
    const head = openSlot(bytes.toString('utf8', at, at + SLOT_BYTES), key)
    if (head !== null) heads.push(head)
  }
  return heads
}

function openSlot(text: string, key: Buffer): AuditHead | null {
  try {
    const { head, mac } = Slot.parse(JSON.parse(text))
    return timingSafeEqual(Buffer.from(mac, 'hex'), macOf(head, key)) ? head : null
  } catch {
    return null
  }
}

const newest = (heads: readonly AuditHead[]): AuditHead | null =>
  heads.reduce<AuditHead | null>(
    (best, head) => (best === null || head.generation > best.generation ? head : best),
    null,
  )
