import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { BsmError } from '../../core/protocol/index.ts'
import { isErrno } from './evidence/chain-file.ts'
import { isAlive, ownIdentity, type ProcessIdentity } from './identity.ts'

const Recorded = z.object({ pid: z.int(), start_time: z.string() })

/** The claim of one helper on one state directory: epochs and golden snapshots have one writer. */
export class StateDirOwner {
  readonly #path: string
  /** A helper that died without giving its claim back; what it left half done may be swept. */
  readonly predecessor: ProcessIdentity | null

  constructor(stateDir: string) {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 })
    this.#path = join(stateDir, 'helper.json')
    this.predecessor = this.#claim()
  }

  release(): void {
    const holder = readOwner(this.#path)
    if (holder?.pid === process.pid) rmSync(this.#path, { force: true })
  }

  #claim(): ProcessIdentity | null {
    const own = JSON.stringify(ownIdentity()) + '\n'
    try {
      writeFileSync(this.#path, own, { flag: 'wx', mode: 0o600 })
      return null
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error
    }
    const holder = readOwner(this.#path)
    if (holder !== null && isAlive(holder))
      throw new BsmError(
        'VM_LIFECYCLE_ERROR',
        'helper',
        `Another helper (process ${holder.pid}) uses this state directory.`,
        {
          nextStep: 'Stop it, or give another --state-dir.',
        },
      )
    rmSync(this.#path, { force: true })
    writeFileSync(this.#path, own, { flag: 'wx', mode: 0o600 })
    return holder
  }
}

function readOwner(path: string): ProcessIdentity | null {
  try {
    return Recorded.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return null
  }
}
