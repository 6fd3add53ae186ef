import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { bootHelper } from './helper.ts'
import type { HelperBinary } from './helper-binary.ts'
import type { GuestImage } from './image.ts'
import { Scratch } from './scratch.ts'

/** Where one run of `npm test` keeps golden snapshots for all its files; without it each file makes its own. */
const SHARED = process.env['BSM_TEST_GOLDENS']

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
    for (const part of ['state', 'config']) copyHoles(stock.path(part), copy.path(part))
    return copy
  }

  async #make(): Promise<Scratch> {
    const scratch = new Scratch('golden')
    const shared = this.#sharedPlace()
    if (shared !== null && existsSync(shared)) {
      for (const part of ['state', 'config']) copyHoles(join(shared, part), scratch.path(part))
      return scratch
    }
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
    if (shared !== null) share(scratch, shared)
    return scratch
  }

  /** Of this build of the helper and this image. */
  #sharedPlace(): string | null {
    if (SHARED === undefined) return null
    const { command, args } = this.#binary
    const made = createHash('sha256').update(JSON.stringify(this.#image.manifest))
    for (const path of [command, ...args]) made.update(readFileSync(path))
    return join(SHARED, made.digest('hex'))
  }

  async remove(): Promise<void> {
    const made = await this.#made?.catch(() => undefined)
    made?.remove()
  }
}

/** Whole or not at all: whoever comes second keeps what is there. */
function share(scratch: Scratch, place: string): void {
  const next = mkdtempSync(`${place}.`)
  for (const part of ['state', 'config']) {
    mkdirSync(join(next, part))
    copyHoles(scratch.path(part), join(next, part))
  }
  try {
    renameSync(next, place)
  } catch {
    rmSync(next, { recursive: true })
  }
}

/** cp keeps the holes of the RAM file, which Node's own copy would fill. */
function copyHoles(from: string, to: string): void {
  execFileSync('cp', ['-a', `${from}/.`, to])
}
