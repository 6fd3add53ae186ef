import type { AppSnapshot } from '../../core/protocol/index.ts'
import { escapeLine } from '../format/escape.ts'
import { duration } from '../format/units.ts'

const ALIVE_EVERY_MS = 10_000

/** Tells a person what the app is doing, from the first moment on: a line for each change, and a sign of life. */
export class Progress implements Disposable {
  readonly #say: (line: string) => void
  readonly #now: () => number
  readonly #began: number
  readonly #alive: NodeJS.Timeout
  #step = ''
  #crash: string | null = null

  constructor(say: (line: string) => void, now: () => number = () => performance.now()) {
    this.#say = say
    this.#now = now
    this.#began = now()
    this.#alive = setInterval(() => this.#line(`still: ${this.#step}`), ALIVE_EVERY_MS)
    this.#alive.unref()
  }

  step(what: string): void {
    if (what === this.#step) return
    this.#step = what
    this.#line(what)
  }

  /** A failure is left to whoever knows its error whole. */
  snapshot({ state, message, last_crash: crash }: AppSnapshot): void {
    if (state === 'failed' || state === 'stopped') return
    // The message mostly says it again, and what comes of it.
    if (crash !== this.#crash && crash !== null && !message.includes(crash)) this.#line(escapeLine(crash))
    this.#crash = crash
    this.step(escapeLine(message))
  }

  /** Why a start was slow. */
  coldBoot(reason: string): void {
    this.#line(`booted from cold: ${escapeLine(reason)}`)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#alive)
  }

  #line(what: string): void {
    this.#say(`${duration(this.#now() - this.#began).padStart(7)}  ${what}`)
  }
}
