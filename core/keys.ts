import { randomBytes } from 'node:crypto'
import { lstatSync } from 'node:fs'
import { basename } from 'node:path'
import { createPrivateFile, errnoOf, fileError, readSmallFile } from './files.ts'
import { BsmError } from './protocol/index.ts'

/**
 * The 32-byte key at `path`, made on first use; 64 hex digits in a 0600 file outside the state directory.
 *
 * A key that is malformed or that others may read is refused, never replaced: a new one would turn
 * everything signed with the old one into a forgery.
 */
export function loadOrCreateKey(path: string): Buffer {
  try {
    return loadKey(path) ?? createKey(path)
  } catch (error) {
    throw fileError(error, `read the key ${basename(path)}`)
  }
}

function loadKey(path: string): Buffer | null {
  const text = readSmallFile(path, 1024)
  if (text === null) return null
  const { mode, uid } = lstatSync(path)
  if ((mode & 0o077) !== 0) throw refused(path, 'others may read it', `Run chmod 600 ${path}.`)
  if (process.getuid !== undefined && uid !== process.getuid())
    throw refused(path, 'it belongs to another user', 'Give it back to this user.')
  if (!/^[0-9a-f]{64}\n?$/.test(text))
    throw refused(path, 'it does not hold 64 hex digits', 'Restore it from a copy, or move it away.')
  return Buffer.from(text.trim(), 'hex')
}

function createKey(path: string): Buffer {
  const key = randomBytes(32)
  try {
    createPrivateFile(path, `${key.toString('hex')}\n`)
    return key
  } catch (error) {
    // The helper may have made it in the meantime.
    const existing = errnoOf(error) === 'EEXIST' ? loadKey(path) : null
    if (existing === null) throw error
    return existing
  }
}

const refused = (path: string, why: string, nextStep: string): BsmError =>
  new BsmError('BOOT_CONFIG_INVALID', 'app', `The key ${path} cannot be used: ${why}.`, { nextStep })
