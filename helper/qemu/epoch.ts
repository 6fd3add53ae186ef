import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { BsmError } from '../../core/protocol/index.ts'
import { isErrno } from './evidence/chain-file.ts'
import type { EpochKey } from './guest-link/control.ts'

/** Epochs of one state directory: they only rise, and each is on disk before it is used (§3). */
export class Epochs {
  readonly #path: string
  #last: number
  #taking: Promise<void> = Promise.resolve()

  constructor(stateDir: string) {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 })
    this.#path = join(stateDir, 'epoch')
    this.#last = readLast(this.#path)
  }

  /** A new epoch with its token. */
  async next(): Promise<EpochKey> {
    const before = this.#taking
    let over: () => void = () => undefined
    this.#taking = new Promise((resolve) => (over = resolve))
    await before
    try {
      const epoch = this.#last + 1
      await this.#write(epoch)
      this.#last = epoch
      return { epoch, token: randomBytes(32).toString('hex') }
    } finally {
      over()
    }
  }

  async #write(epoch: number): Promise<void> {
    const temporary = `${this.#path}.new`
    try {
      const file = await open(temporary, 'w', 0o600)
      try {
        await file.writeFile(`${epoch}\n`)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(temporary, this.#path)
    } catch (cause) {
      throw new BsmError('VM_LIFECYCLE_ERROR', 'helper', 'The next epoch cannot be written to disk.', {
        nextStep: isErrno(cause, 'ENOSPC')
          ? 'Free space on the disk that holds the state directory, then reset.'
          : 'Look at the state directory and its permissions, then reset.',
        cause,
      })
    }
  }
}

function readLast(path: string): number {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return 0
    throw error
  }
  const last = Number(text.trim())
  if (Number.isSafeInteger(last) && last >= 0) return last
  // Starting again at 1 could repeat an epoch: only a person can tell that none is in use.
  throw new BsmError('VM_LIFECYCLE_ERROR', 'helper', `The epoch file ${path} is damaged.`, {
    nextStep: 'Move the state directory away and start again.',
  })
}
