import { execFileSync } from 'node:child_process'
import { bootHelper } from './helper.ts'
import type { HelperBinary } from './helper-binary.ts'
import type { GuestImage } from './image.ts'
import { Scratch } from './scratch.ts'

/**
 * One golden snapshot for many tests: booted and saved once, then copied into the scratch of each
 * test, so that every test has a state directory of its own and still starts by a restore.
 */
export class GoldenStock {
  readonly #binary: HelperBinary
  readonly #image: GuestImage
  #made: Promise<Scratch> | undefined

  constructor(binary: HelperBinary, image: GuestImage) {
    this.#binary = binary
    this.#image = image
  }

  /** A new scratch with the golden snapshot and the key that authenticates it. */
  async scratch(name?: string): Promise<Scratch> {
    this.#made ??= this.#make()
    const stock = await this.#made
    const copy = new Scratch(name)
    // cp keeps the holes of the RAM file, which Node's own copy would fill
    execFileSync('cp', ['-a', `${stock.stateDir}/.`, copy.stateDir])
    execFileSync('cp', ['-a', `${stock.configDir}/.`, copy.configDir])
    return copy
  }

  async #make(): Promise<Scratch> {
    const scratch = new Scratch('golden')
    const helper = bootHelper(this.#binary, scratch, this.#image)
    try {
      await helper.ready()
      await helper.standbyReady()
      await helper.shutdown()
    } catch (error) {
      await helper.dispose()
      scratch.remove()
      throw error
    }
    return scratch
  }

  async remove(): Promise<void> {
    const made = await this.#made?.catch(() => undefined)
    made?.remove()
  }
}
