import { createHash, randomBytes } from 'node:crypto'
import { linkSync, renameSync } from 'node:fs'
import { createPrivateFile, errnoOf, fileError, readSmallFile, removeFile } from './files.ts'
import { identify, isAlive, ProcessIdentity } from './process-identity.ts'
import { BsmError } from './protocol/index.ts'

/** One app per state directory. */
export interface InstanceLock {
  /** The dead owner it was taken from, if any. */
  readonly takenFrom: ProcessIdentity | null
  release(): void
}

const MAX_TAKEOVER_DEPTH = 4

/**
 * Takes the lock at `path`; BUSY when a live process holds it, and a dead owner's lock is taken over.
 *
 * Two starters may both see the same dead owner. So a takeover is itself guarded by a lock that is named
 * for that owner, and under it the owner is read again: only one starter can replace one dead owner, and
 * a starter that comes late finds the new one.
 */
export function acquireInstanceLock(path: string): InstanceLock {
  const self = identify(process.pid)
  if (self === null) throw new BsmError('INTERNAL_BUG', 'app', 'This process cannot see its own start time.')
  try {
    const takenFrom = acquire(path, self, MAX_TAKEOVER_DEPTH)
    return { takenFrom, release: () => release(path, self) }
  } catch (error) {
    throw fileError(error, `take the lock ${path}`)
  }
}

function acquire(path: string, self: ProcessIdentity, depth: number): ProcessIdentity | null {
  if (tryCreate(path, self)) return null
  const seen = readSmallFile(path, 4096)
  if (seen === null) return acquire(path, self, spend(depth))
  const owner = parse(seen)
  if (owner !== null && isAlive(owner)) throw alreadyRunning(owner)

  const guard = `${path}.${createHash('sha256').update(seen).digest('hex').slice(0, 16)}`
  acquire(guard, self, spend(depth))
  try {
    if (readSmallFile(path, 4096) !== seen) return acquire(path, self, spend(depth))
    replace(path, self)
    return owner
  } finally {
    removeFile(guard)
  }
}

/** Creates the lock whole or not at all: `link` fails when it exists. */
function tryCreate(path: string, self: ProcessIdentity): boolean {
  return withTemporary(path, self, (temporary) => {
    try {
      linkSync(temporary, path)
      return true
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return false
      throw error
    }
  })
}

const replace = (path: string, self: ProcessIdentity): void =>
  withTemporary(path, self, (temporary) => renameSync(temporary, path))

function withTemporary<T>(path: string, self: ProcessIdentity, use: (temporary: string) => T): T {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  createPrivateFile(temporary, JSON.stringify(self))
  try {
    return use(temporary)
  } finally {
    removeFile(temporary)
  }
}

function release(path: string, self: ProcessIdentity): void {
  const owner = parse(readSmallFile(path, 4096) ?? '')
  if (owner?.pid === self.pid && owner.start === self.start) removeFile(path)
}

function parse(text: string): ProcessIdentity | null {
  try {
    return ProcessIdentity.parse(JSON.parse(text))
  } catch {
    return null
  }
}

function spend(depth: number): number {
  if (depth > 0) return depth - 1
  throw new BsmError('BUSY', 'app', 'Several apps are starting at once.', { nextStep: 'Try again.' })
}

const alreadyRunning = (owner: ProcessIdentity): BsmError =>
  new BsmError(
    'BUSY',
    'app',
    `Another Brainstorm Sandbox (process ${owner.pid}) uses this state directory.`,
    {
      nextStep: 'Use it (`bsm status`), or stop it with `bsm down`.',
    },
  )
