import { access, constants, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { resolvePaths } from '../../paths.ts'
import { bytes } from '../../units.ts'
import type { Check, Finding } from '../check.ts'

/** Golden RAM, its device state, evidence and logs. */
const NEEDED_BYTES = 2 * 1024 ** 3

export const stateDir: Check = {
  id: 'state-dir',
  title: 'state directory',
  async run({ env, platform }) {
    const path = resolvePaths(env, platform).stateDir
    const existing = await firstExisting(path)
    const free = await statfs(existing)
    const space = free.bavail * free.bsize
    if (existing === path) {
      const problem = await permissions(path)
      if (problem !== null) return problem
    } else if (!(await writable(existing)))
      return {
        status: 'fail',
        message: `${path} cannot be made`,
        remedy: 'set BSM_STATE_DIR to a directory of yours',
      }
    if (space < NEEDED_BYTES)
      return {
        status: 'warn',
        message: `${bytes(space)} are free at ${path}; ${bytes(NEEDED_BYTES)} are wanted`,
        remedy: 'free some space, or set BSM_STATE_DIR to another disk',
      }
    return { status: 'ok', message: `${path}, ${bytes(space)} free` }
  },
}

async function firstExisting(path: string): Promise<string> {
  try {
    await stat(path)
    return path
  } catch {
    return firstExisting(dirname(path))
  }
}

const writable = (path: string) =>
  access(path, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  )

async function permissions(path: string): Promise<Finding | null> {
  const facts = await stat(path)
  if (!facts.isDirectory())
    return { status: 'fail', message: `${path} is not a directory`, remedy: `mv '${path}' '${path}.old'` }
  if (process.getuid !== undefined && facts.uid !== process.getuid())
    return {
      status: 'fail',
      message: `${path} belongs to another user`,
      remedy: `chown -R "$(id -u)" '${path}'`,
    }
  if ((facts.mode & 0o077) !== 0)
    return { status: 'fail', message: `${path} is open to others`, remedy: `chmod 700 '${path}'` }
  return (await writable(path))
    ? null
    : { status: 'fail', message: `${path} is not writable`, remedy: `chmod 700 '${path}'` }
}
