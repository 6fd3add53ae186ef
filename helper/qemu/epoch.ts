import { randomBytes } from 'node:crypto'
import { realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as z from 'zod'
import { BsmError } from '../../core/protocol/index.ts'
import { isErrno } from './evidence/chain-file.ts'
import { Authenticator } from './golden/manifest.ts'
import type { EpochKey } from './guest-link/control.ts'
import { manifestKeyPath } from './paths.ts'
import { readPrivateFile, replacePrivateFile, requirePrivateDirectory } from './private-files.ts'

const Signed = z.strictObject({ schema: z.literal('bsm-epoch/1'), epoch: z.int().nonnegative() })

/**
 * Epochs of one state directory: they only rise, and each is on disk before it is used (§3).
 *
 * Who may write to the state directory may delete or put back its `epoch` file: so it is signed, and a
 * floor of the same form stands beside the key, below which no epoch goes.
 */
export class Epochs {
  readonly #authenticator: Authenticator
  readonly #path: string
  readonly #floorPath: string
  #last: number

  /** `keyPath` names the key that signs; throws `VM_LIFECYCLE_ERROR` where a file or directory is not ours alone. */
  constructor(stateDir: string, keyPath: string = manifestKeyPath()) {
    requirePrivateDirectory(stateDir)
    this.#authenticator = new Authenticator(keyPath)
    this.#path = join(stateDir, 'epoch')
    const floors = join(dirname(keyPath), 'epoch-floors')
    requirePrivateDirectory(floors)
    // Named under the key: with a new key, old floors are not in the way.
    this.#floorPath = join(floors, this.#authenticator.nameOf(realpathSync(stateDir)))
    const known = [this.#read(this.#path), this.#read(this.#floorPath)]
    this.#last = Math.max(...known.map((epoch) => epoch ?? 0))
    // A file of another key, or a damaged one, says nothing; where nothing else does either, beginning again at 1
    // could repeat an epoch. No counter that rises by one a reset has come as far as the clock's seconds.
    if (this.#last === 0 && known.includes(null)) this.#last = Math.floor(Date.now() / 1000)
  }

  /** A new epoch with its token. */
  async next(): Promise<EpochKey> {
    return await Promise.resolve(this.#take())
  }

  /** In one go: between its parts neither another epoch nor the helper's end can come. */
  #take(): EpochKey {
    const epoch = this.#last + 1
    this.#write(epoch)
    this.#last = epoch
    return { epoch, token: randomBytes(32).toString('hex') }
  }

  #write(epoch: number): void {
    const text = this.#authenticator.sign({ schema: 'bsm-epoch/1', epoch } satisfies z.infer<typeof Signed>)
    try {
      replacePrivateFile(this.#floorPath, text)
      replacePrivateFile(this.#path, text)
    } catch (cause) {
      throw new BsmError('VM_LIFECYCLE_ERROR', 'helper', 'The next epoch cannot be written to disk.', {
        nextStep: isErrno(cause, 'ENOSPC')
          ? 'Free space on the disk that holds the state directory, then reset.'
          : 'Look at the state directory and its permissions, then reset.',
        cause,
      })
    }
  }

  /** Null: there is a file, but not as this key signed it. */
  #read(path: string): number | null {
    const text = readPrivateFile(path)
    if (text === null) return 0
    try {
      return this.#authenticator.open(text, Signed).epoch
    } catch {
      return null
    }
  }
}
