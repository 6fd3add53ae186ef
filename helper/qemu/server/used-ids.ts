const KEPT = 100_000

/** Command ids that were used, so that none is twice; the oldest are forgotten beyond a hundred thousand. */
export class UsedIds {
  readonly #kept: number
  readonly #ids = new Set<string>()

  constructor(kept: number = KEPT) {
    this.#kept = kept
  }

  has(id: string): boolean {
    return this.#ids.has(id)
  }

  add(id: string): void {
    this.#ids.add(id)
    if (this.#ids.size <= this.#kept) return
    const [oldest] = this.#ids
    if (oldest !== undefined) this.#ids.delete(oldest)
  }
}
