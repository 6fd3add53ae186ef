import type { Item } from '../gates/report.ts'
import type { Which } from '../support/helper-binary.ts'
import type { GuestImage } from '../support/image.ts'
import { promiseOf, type Hurt } from './plan.ts'
import { impossible, run } from './run.ts'
import { World } from './world.ts'

/** Runs one injury after another in one world, and in a new one after any that it did not survive. */
export class Worlds {
  readonly #which: Which
  readonly #image: GuestImage
  readonly #signal: AbortSignal
  readonly #cutOff: Promise<never>
  #world: World | null = null

  constructor(which: Which, image: GuestImage, signal: AbortSignal) {
    this.#which = which
    this.#image = image
    this.#signal = signal
    this.#cutOff = new Promise<never>((_resolve, reject) => {
      const off = () => reject(new Error('cut off'))
      if (signal.aborted) off()
      else signal.addEventListener('abort', off, { once: true })
    })
    this.#cutOff.catch(() => undefined)
  }

  /** Never rejects. */
  async run(hurt: Hurt, rounds: number): Promise<Item> {
    const since = performance.now()
    const plain = (outcome: Item['outcome'], reason: string): Item => ({
      ...{ id: hurt.id, group: hurt.moment.phase, promise: promiseOf(hurt) },
      ...{ outcome, reason, ms: performance.now() - since, count: 0 },
    })
    if (this.#signal.aborted) return plain('not run', 'cut off')
    const why = impossible(hurt, this.#which)
    if (why !== null) return plain('not run', why)
    try {
      const world = await Promise.race([this.#ready(), this.#cutOff])
      const item = await run(world, hurt, rounds, this.#cutOff)
      if (item.outcome !== 'held') await this.close()
      return item
    } catch (error) {
      const { lastWords = '' } = this.#world ?? {}
      await this.close()
      if (this.#signal.aborted) return plain('not run', 'cut off')
      const said = error instanceof Error ? error.message : String(error)
      return plain('broken', `before anything was done: ${said}\n${lastWords}`)
    }
  }

  async #ready(): Promise<World> {
    if (this.#world === null) {
      this.#world = new World(this.#which, this.#image)
      await this.#world.begin()
    }
    return this.#world
  }

  async close(): Promise<void> {
    const world = this.#world
    this.#world = null
    await world?.dispose()
  }
}
