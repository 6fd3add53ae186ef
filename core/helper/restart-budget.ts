export interface RestartLimits {
  /** Restarts allowed within the window. */
  readonly restarts: number
  readonly windowMs: number
  readonly firstDelayMs: number
  readonly longestDelayMs: number
  /** Running this long clears the record. */
  readonly stableMs: number
}

const RESTART_LIMITS: RestartLimits = {
  restarts: 5,
  windowMs: 5 * 60_000,
  firstDelayMs: 250,
  longestDelayMs: 10_000,
  stableMs: 2 * 60_000,
}

/** How soon a helper that ended may be started again, and when to stop trying. Times are monotonic ms. */
export class RestartBudget {
  readonly #limits: RestartLimits
  #crashes: number[] = []

  constructor(limits: RestartLimits = RESTART_LIMITS) {
    this.#limits = limits
  }

  /** Milliseconds to wait before the next start; null when the budget is used up. */
  spend(now: number, readySince: number | null): number | null {
    const { restarts, windowMs, firstDelayMs, longestDelayMs, stableMs } = this.#limits
    if (readySince !== null && now - readySince >= stableMs) this.#crashes = []
    this.#crashes = this.#crashes.filter((at) => now - at < windowMs)
    if (this.#crashes.length >= restarts) return null
    const delay = Math.min(longestDelayMs, firstDelayMs * 2 ** this.#crashes.length)
    this.#crashes.push(now)
    return delay
  }

  /** A person asked for a start: what happened before is forgiven. */
  refill(): void {
    this.#crashes = []
  }
}
