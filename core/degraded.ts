import { randomUUID } from 'node:crypto'
import { lstatSync, renameSync } from 'node:fs'
import { dirname } from 'node:path'
import {
  createPrivateFile,
  fileError,
  fsyncDirectory,
  readSmallFile,
  removeFile,
  replaceFile,
} from './files.ts'
import { Degraded } from './protocol/index.ts'

const MAX_BYTES = 1024 * 1024

/**
 * Degraded mode on disk (protocol §4). It is written before anyone hears of it, survives restarts, and a
 * record that cannot be read counts as one: only its absence means healthy.
 *
 * A spare record lies beside it from the start, so that a full disk, on which nothing new can be written,
 * still takes the rename that keeps the next start from trusting the VM.
 */
export class DegradedStore {
  readonly #path: string
  readonly #spare: string
  readonly #replace: typeof replaceFile

  constructor(path: string, replace: typeof replaceFile = replaceFile) {
    this.#path = path
    this.#spare = `${path}.spare`
    this.#replace = replace
  }

  /** Lays out the spare. Throws a sentence. */
  arm(now: Date): void {
    try {
      if (lstatSync(this.#spare, { throwIfNoEntry: false }) !== undefined) return
      const spare = record(
        now,
        'The reset before this could not be verified, and the disk was too full to say more.',
      )
      createPrivateFile(this.#spare, JSON.stringify(spare))
    } catch (error) {
      throw fileError(error, 'prepare the record of degraded mode')
    }
  }

  /** Null means healthy. Never throws. */
  load(now: Date): Degraded | null {
    try {
      const text = readSmallFile(this.#path, MAX_BYTES)
      return text === null ? null : Degraded.parse(JSON.parse(text))
    } catch {
      return record(now, 'The record of degraded mode cannot be read, so the sandbox counts as degraded.')
    }
  }

  /** On disk when it returns. Throws a sentence when not even the spare could be put in place. */
  enter(degraded: Degraded): void {
    try {
      this.#replace(this.#path, `${JSON.stringify(degraded)}\n`)
    } catch (error) {
      if (this.#useSpare()) return
      throw fileError(error, 'record degraded mode')
    }
  }

  #useSpare(): boolean {
    try {
      renameSync(this.#spare, this.#path)
      fsyncDirectory(dirname(this.#path))
      return true
    } catch {
      return false
    }
  }

  /** Throws a sentence when the record could not be removed: then it still holds. */
  leave(): void {
    try {
      if (lstatSync(this.#path, { throwIfNoEntry: false })?.isDirectory() === true)
        renameSync(this.#path, `${this.#path}.${randomUUID()}.unreadable`)
      else removeFile(this.#path)
      fsyncDirectory(dirname(this.#path))
    } catch (error) {
      throw fileError(error, 'remove the record of degraded mode')
    }
  }
}

/** The record is gone, and the audit log knows of nobody who left degraded mode. */
export const missingRecord = (now: Date): Degraded =>
  record(
    now,
    'The record of degraded mode was missing, and the audit log holds no recovery since it was entered.',
  )

const record = (now: Date, message: string): Degraded => ({
  since: now.toISOString(),
  code: 'RESET_VERIFICATION_DIVERGENCE',
  sources: [],
  message,
  report: null,
})
