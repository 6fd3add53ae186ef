import { createHash } from 'node:crypto'
import { readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as z from 'zod'
import { BsmError } from '../../core/protocol/index.ts'
import { isErrno } from './evidence/chain-file.ts'
import { isAlive, ownIdentity, type ProcessIdentity } from './identity.ts'
import { manifestKeyPath } from './paths.ts'
import { liesIn, linkPrivateFile, replacePrivateFile, requirePrivateDirectory } from './private-files.ts'

const Recorded = z.object({ pid: z.int(), start_time: z.string() })
const MAX_TRIES = 4

/**
 * The claim of one helper on one state directory: epochs and golden snapshots have one writer.
 *
 * A claim appears whole or not at all. Two starters may both see the same dead owner: a takeover is
 * itself guarded by a claim that is named for that owner, and under it the owner is read again.
 */
export class StateDirOwner {
  readonly #path: string
  /** A helper that died without giving its claim back; what it left half done may be swept. */
  readonly predecessor: ProcessIdentity | null

  /** Throws `BOOT_CONFIG_INVALID` for a directory that is not ours, or in which the key would lie. */
  constructor(stateDir: string, keyPath: string = manifestKeyPath()) {
    requirePrivateDirectory(stateDir)
    if (liesIn(dirname(keyPath), stateDir))
      throw new BsmError(
        'BOOT_CONFIG_INVALID',
        'helper',
        'The key would lie in the state directory that it protects.',
        { nextStep: 'Give another --state-dir, or set BSM_CONFIG_DIR to a directory outside of it.' },
      )
    this.#path = join(stateDir, 'helper.json')
    this.predecessor = claim(this.#path, MAX_TRIES)
  }

  release(): void {
    const own = ownIdentity()
    const holder = parse(read(this.#path) ?? '')
    if (holder?.pid === own.pid && holder.start_time === own.start_time) rmSync(this.#path, { force: true })
  }
}

function claim(path: string, tries: number): ProcessIdentity | null {
  if (tries === 0)
    throw new BsmError('BUSY', 'helper', 'Several helpers start on this state directory at once.', {
      nextStep: 'Try again, or give another --state-dir.',
    })
  const own = JSON.stringify(ownIdentity()) + '\n'
  if (linkPrivateFile(path, own)) return null
  const seen = read(path)
  if (seen === null) return claim(path, tries - 1)
  const holder = parse(seen)
  if (holder !== null && isAlive(holder))
    throw new BsmError(
      'VM_LIFECYCLE_ERROR',
      'helper',
      `Another helper (process ${holder.pid}) uses this state directory.`,
      { nextStep: 'Stop it, or give another --state-dir.' },
    )
  const guard = `${path}.${createHash('sha256').update(seen).digest('hex').slice(0, 16)}`
  claim(guard, tries - 1)
  try {
    if (read(path) !== seen) return claim(path, tries - 1)
    replacePrivateFile(path, own)
    return holder
  } finally {
    rmSync(guard, { force: true })
  }
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null
    throw error
  }
}

function parse(text: string): ProcessIdentity | null {
  try {
    return Recorded.parse(JSON.parse(text))
  } catch {
    return null
  }
}
