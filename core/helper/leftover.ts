import { setTimeout as sleep } from 'node:timers/promises'
import { fileError, readSmallFile, removeFile, replaceFile } from '../files.ts'
import { identify, isAlive, ProcessIdentity } from '../process-identity.ts'

/** Milliseconds for each way of ending a leftover: by itself (it lost its parent), asked, forced. */
const PATIENCE = { itself: 1_000, sigterm: 3_000, sigkill: 3_000 } as const
const LOOK_EVERY_MS = 25

/** Who the running helper is, so that the next app can end it if this one cannot. */
export class HelperIdentityFile {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  /** Must happen right after the spawn: what is not recorded is not found. Throws a sentence. */
  record(pid: number): void {
    const identity = identify(pid)
    if (identity === null) return
    try {
      replaceFile(this.#path, JSON.stringify(identity))
    } catch (error) {
      throw fileError(error, 'record which process the helper is')
    }
  }

  clear(): void {
    removeFile(this.#path)
  }

  /**
   * Ends the helper of an app that crashed. It is known by its number and start time, never by its name,
   * and its group goes with it. Returns a sentence about it, or null when there was none.
   */
  async endLeftover(): Promise<string | null> {
    const identity = this.#read()
    if (identity === null || !isAlive(identity)) {
      this.clear()
      return null
    }
    const { pid } = identity
    const how = await end(identity)
    if (how === null)
      return `A helper of an earlier run (process ${pid}) could not be ended, not even by SIGKILL.`
    this.clear()
    return `A helper of an earlier run (process ${pid}) was still there and ${how}.`
  }

  #read(): ProcessIdentity | null {
    try {
      return ProcessIdentity.parse(JSON.parse(readSmallFile(this.#path, 4096) ?? ''))
    } catch {
      return null
    }
  }
}

async function end(identity: ProcessIdentity): Promise<string | null> {
  if (await gone(identity, PATIENCE.itself)) return 'ended by itself'
  signal(identity, 'SIGTERM')
  if (await gone(identity, PATIENCE.sigterm)) return 'was ended'
  signal(identity, 'SIGKILL')
  return (await gone(identity, PATIENCE.sigkill)) ? 'was killed' : null
}

function signal(identity: ProcessIdentity, name: NodeJS.Signals): void {
  // Looked at again right before: the number may have passed on.
  if (!isAlive(identity)) return
  for (const target of [-identity.pid, identity.pid])
    try {
      process.kill(target, name)
      return
    } catch {
      // No group of its own: then the process alone.
    }
}

async function gone(identity: ProcessIdentity, withinMs: number): Promise<boolean> {
  const until = performance.now() + withinMs
  while (isAlive(identity)) {
    if (performance.now() > until) return false
    await sleep(LOOK_EVERY_MS)
  }
  return true
}
