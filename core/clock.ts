/** Time as an argument, for tests. */
export interface Clock {
  now(): Date
  /** Milliseconds that never jump. */
  monotonic(): number
}

export const systemClock: Clock = { now: () => new Date(), monotonic: () => performance.now() }
