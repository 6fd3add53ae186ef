import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as z from 'zod'
import { repository } from '../support/image.ts'
import type { Item } from './report.ts'

/** Items are this gate's own, so their shape is not looked at again. */
const Partial = z.strictObject({
  of: z.string(),
  started_at: z.iso.datetime(),
  items: z.array(z.custom<Item>((one) => typeof one === 'object' && one !== null && 'id' in one)),
})

/** Where a gate keeps what it finished; `name` is that of its report, "chaos-qemu". */
export const partialPath = (name: string): string => join(repository, 'out/gates', `${name}.partial.json`)

/**
 * The finished items of a gate that was cut off. A gate adds each item as it is done, and removes the file when it
 * came to its end; what was kept of something else (another commit, as report.ts names it, or other options) is
 * forgotten.
 */
export class Finished {
  readonly #path: string
  readonly #of: string
  readonly #items: Item[]
  /** When the run began that these items are of. */
  readonly since: Date

  constructor(path: string, of: string) {
    this.#path = path
    this.#of = of
    const kept = read(path)
    const same = kept?.of === of ? kept : null
    this.#items = same?.items ?? []
    this.since = new Date(same?.started_at ?? Date.now())
  }

  get count(): number {
    return this.#items.length
  }

  find(id: string): Item | undefined {
    return this.#items.find((item) => item.id === id)
  }

  /** On disk, whole, when it returns. */
  add(item: Item): void {
    this.#items.push(item)
    mkdirSync(dirname(this.#path), { recursive: true })
    const text = JSON.stringify({ of: this.#of, started_at: this.since.toISOString(), items: this.#items })
    writeFileSync(`${this.#path}.next`, text)
    renameSync(`${this.#path}.next`, this.#path)
  }

  /** Everything was done: the next run begins anew. */
  remove(): void {
    rmSync(this.#path, { force: true })
  }
}

function read(path: string): z.infer<typeof Partial> | null {
  try {
    return Partial.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return null // none, or not ours
  }
}
