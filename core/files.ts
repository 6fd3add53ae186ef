import { randomBytes } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  openSync,
  readSync,
  fstatSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { constants } from 'node:fs'
import { dirname } from 'node:path'
import { BsmError } from './protocol/index.ts'

export const errnoOf = (thrown: unknown): string | undefined =>
  thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : undefined

const REMEDY: Record<string, readonly [what: string, next: string]> = {
  ENOSPC: ['the disk is full', 'Free some space and try again.'],
  EDQUOT: ['the disk quota is used up', 'Free some space and try again.'],
  EACCES: ['permission was denied', 'Give the path back to this user, then try again.'],
  EPERM: ['the operation is not permitted', 'Give the path back to this user, then try again.'],
  EROFS: [
    'the file system is read-only',
    'Mount it writable, or set BSM_STATE_DIR and BSM_CONFIG_DIR elsewhere.',
  ],
  EMFILE: ['too many files are open', 'Raise the limit of open files (ulimit -n) and start again.'],
  ENFILE: ['too many files are open', 'Close programs, then try again.'],
  EIO: ['the disk reported an error', 'Check the disk.'],
  ELOOP: ['the path is a symbolic link', 'Replace the link by the file or directory itself.'],
}

/** A failed file operation as one sentence with its next step; `doing` reads "write settings.json". */
export function fileError(thrown: unknown, doing: string): BsmError {
  if (thrown instanceof BsmError) return thrown
  const errno = errnoOf(thrown)
  const known = errno === undefined ? undefined : REMEDY[errno]
  const reason = known?.[0] ?? (thrown instanceof Error ? thrown.message : String(thrown))
  return new BsmError('VM_LIFECYCLE_ERROR', 'app', `Could not ${doing}: ${reason}.`, {
    nextStep: known?.[1] ?? 'See `bsm doctor`.',
    cause: thrown,
  })
}

export function fsyncDirectory(directory: string): void {
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Creates a file of mode 0600 with `text`, on disk before it returns. Fails when it exists or is a link. */
export function createPrivateFile(path: string, text: string): void {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
  const fd = openSync(path, flags, 0o600)
  try {
    const bytes = Buffer.from(text, 'utf8')
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at)
    fsyncSync(fd)
  } catch (error) {
    unlinkSync(path)
    throw error
  } finally {
    closeSync(fd)
  }
}

/** Replaces a file whole: readers see the old text or the new, also after a power cut. Mode 0600. */
export function replaceFile(path: string, text: string): void {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  createPrivateFile(temporary, text)
  try {
    renameSync(temporary, path)
  } catch (error) {
    unlinkSync(temporary)
    throw error
  }
  fsyncDirectory(dirname(path))
}

/** Reads a regular file of at most `maxBytes`, never through a link; null when there is none. */
export function readSmallFile(path: string, maxBytes: number): string | null {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
  try {
    const stat = fstatSync(fd)
    if (!stat.isFile()) throw new Error('it is not a regular file')
    if (stat.size > maxBytes) throw new Error(`it is larger than ${maxBytes} bytes`)
    const bytes = Buffer.alloc(maxBytes)
    let length = 0
    for (let got = -1; got !== 0 && length < maxBytes; length += got)
      got = readSync(fd, bytes, length, maxBytes - length, length)
    return bytes.toString('utf8', 0, length)
  } finally {
    closeSync(fd)
  }
}

/** Removes a file; one that is not there is fine. */
export function removeFile(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
}
