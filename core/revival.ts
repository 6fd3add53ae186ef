import type { Clock } from './clock.ts'
import { BsmError } from './protocol/index.ts'

interface RevivalParts {
  /** No dispatch runs (its own reset would do) and none is refused. */
  readonly idle: () => boolean
  readonly reset: (why: string) => Promise<void>
  readonly replaceHelper: (why: BsmError) => void
  readonly clock: Clock
}

/** Resets within the window before the helper itself is under suspicion. */
const ATTEMPTS = 5
const WINDOW_MS = 5 * 60_000

/** Brings back a VM that died while nobody used it: by a reset, and by a new helper when that keeps happening. */
export class Revival {
  readonly #parts: RevivalParts
  #attempts: number[] = []
  #underway = false

  constructor(parts: RevivalParts) {
    this.#parts = parts
  }

  /** Does nothing while a dispatch runs, and only one at a time. */
  wanted(why: string): void {
    const { idle, reset, replaceHelper, clock } = this.#parts
    if (this.#underway || !idle()) return
    const now = clock.monotonic()
    this.#attempts = this.#attempts.filter((at) => now - at < WINDOW_MS)
    if (this.#attempts.length >= ATTEMPTS) {
      this.#attempts = []
      return replaceHelper(
        new BsmError('VM_LIFECYCLE_ERROR', 'hypervisor', 'The VM kept ending while nobody used it.'),
      )
    }
    this.#attempts.push(now)
    this.#underway = true
    // What it finds is acted on where it is found.
    void reset(why)
      .catch(() => undefined)
      .finally(() => (this.#underway = false))
  }
}
