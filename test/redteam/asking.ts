import { setTimeout as sleep } from 'node:timers/promises'
import type { Stage, Watched } from './stage.ts'

/** Between two questions for the status while a probe attacks. */
const ASK_EVERY_MS = 25
/** What the last of them may still take when the attack is over. */
const LAST_MS = 1_000

const isThere = ({ child }: Watched): boolean => child.exitCode === null && child.signalCode === null

/** Asks for the status again and again, and keeps how long each answer took. */
export class Asking {
  readonly #times: number[]
  readonly #done: Promise<void>
  #asked: { of: Watched; since: number } | null = null
  #isOver = false

  constructor(stage: Pick<Stage, 'watched'>, times: number[]) {
    this.#times = times
    this.#done = this.#ask(stage)
  }

  /** The last one has a moment to be answered; if it is not, it counts with the time that it has waited. */
  async end(): Promise<void> {
    this.#isOver = true
    await Promise.race([this.#done, sleep(LAST_MS)])
    const asked = this.#asked
    this.#asked = null
    if (asked !== null && isThere(asked.of)) this.#times.push(performance.now() - asked.since)
  }

  async #ask(stage: Pick<Stage, 'watched'>): Promise<void> {
    while (!this.#isOver) {
      if (stage.watched !== null) await this.#askOnce(stage.watched)
      if (!this.#isOver) await sleep(ASK_EVERY_MS)
    }
  }

  async #askOnce(of: Watched): Promise<void> {
    const asked = { of, since: performance.now() }
    this.#asked = asked
    const isAnswered = await of.status().then(
      () => true,
      () => false,
    )
    const ms = performance.now() - asked.since
    // Who was killed gives no answer, and is seen to be gone a little after its connection. Who refuses or lets the
    // time run out is there, and it counts.
    if (!isAnswered) await sleep(ASK_EVERY_MS)
    if (this.#asked !== asked) return
    this.#asked = null
    if (isAnswered || isThere(of)) this.#times.push(ms)
  }
}
