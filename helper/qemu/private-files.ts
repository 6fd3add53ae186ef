import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { BsmError } from '../../core/protocol/index.ts'
import { isErrno } from './evidence/chain-file.ts'

/**
 * Files that another user could plant, follow or read are no state of ours: everything here is made
 * anew (`O_EXCL`), never through a symbolic link, for its owner alone, and on disk before it counts.
 */

const uid = (): number => process.getuid?.() ?? 0
const OTHERS = 0o077

/** Makes `path` a real directory of ours, mode 0700. Throws `BOOT_CONFIG_INVALID` when it is another's or a link. */
export function requirePrivateDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  const facts = lstatSync(path)
  if (!facts.isDirectory() || facts.uid !== uid())
    throw new BsmError('BOOT_CONFIG_INVALID', 'helper', `${path} is not a directory of this user.`, {
      nextStep: 'Give a directory of your own, not a symbolic link to one.',
    })
  if ((facts.mode & OTHERS) !== 0) chmodSync(path, 0o700)
}

/** Why `path` is no real directory of ours, closed to others; null when it is one. */
export function notPrivate(path: string): string | null {
  const facts = lstatSync(path)
  if (!facts.isDirectory()) return `${path} is no directory.`
  if (facts.uid !== uid()) return `${path} belongs to another user.`
  return (facts.mode & OTHERS) === 0 ? null : `${path} is open to others.`
}

/** Creates `path` whole, or not at all: false when it exists. */
export function linkPrivateFile(path: string, text: string): boolean {
  return withTemporary(path, text, (temporary) => {
    try {
      linkSync(temporary, path)
    } catch (error) {
      if (isErrno(error, 'EEXIST')) return false
      throw error
    }
    syncDirectory(dirname(path))
    return true
  })
}

/** Puts `text` in the place of what is at `path`. */
export function replacePrivateFile(path: string, text: string): void {
  withTemporary(path, text, (temporary) => renameSync(temporary, path))
  syncDirectory(dirname(path))
}

/** The text of a file of ours that no one else may touch; null when there is none. */
export function readPrivateFile(path: string): string | null {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null
    throw isErrno(error, 'ELOOP') ? notOurs(path, 'is a symbolic link') : error
  }
  try {
    const facts = fstatSync(fd)
    if (!facts.isFile()) throw notOurs(path, 'is no regular file')
    if (facts.uid !== uid()) throw notOurs(path, 'belongs to another user')
    if ((facts.mode & OTHERS) !== 0) throw notOurs(path, 'is open to others')
    return readFileSync(fd, 'utf8')
  } finally {
    closeSync(fd)
  }
}

/** Whether `path` lies in `directory`, links resolved; parts of `path` that do not exist yet count as named. */
export function liesIn(path: string, directory: string): boolean {
  const inside = resolved(directory)
  const at = resolved(path)
  return at === inside || at.startsWith(`${inside}/`)
}

function resolved(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    if (!isErrno(error, 'ENOENT') || dirname(path) === path) throw error
    return join(resolved(dirname(path)), basename(path))
  }
}

function withTemporary<T>(path: string, text: string, use: (temporary: string) => T): T {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.new`
  const fd = openSync(temporary, 'wx', 0o600)
  try {
    try {
      fchmodSync(fd, 0o600)
      writeFileSync(fd, text)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    return use(temporary)
  } finally {
    rmSync(temporary, { force: true })
  }
}

function syncDirectory(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

const notOurs = (path: string, why: string): BsmError =>
  new BsmError('VM_LIFECYCLE_ERROR', 'helper', `${path} ${why}.`, {
    nextStep: 'Find out who put it there, then move it away.',
  })
