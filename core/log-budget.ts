import type { Clock } from './clock.ts'

const LINES_A_MINUTE = 300

/** Lets so many lines a minute into the log, and counts the rest: what a guest can cause must not crowd it out. */
export class LogBudget {
  readonly #clock: Clock
  readonly #limit: number
  #began = -Infinity
  #spent = 0

  constructor(clock: Clock, limit: number = LINES_A_MINUTE) {
    this.#clock = clock
    this.#limit = limit
  }

  /** Whether a line may be written; `suppressed` is told how many were not, once the minute is over. */
  admits(suppressed: (lines: number) => void): boolean {
    const now = this.#clock.monotonic()
    if (now - this.#began >= 60_000) {
      if (this.#spent > this.#limit) suppressed(this.#spent - this.#limit)
      this.#began = now
      this.#spent = 0
    }
    this.#spent += 1
    return this.#spent <= this.#limit
  }
}
