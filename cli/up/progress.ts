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
  #last = ''

  constructor(say: (line: string) => void, now: () => number = () => performance.now()) {
    this.#say = say
    this.#now = now
    this.#began = now()
    this.#alive = setInterval(() => this.#line(`still ${this.#last}`), ALIVE_EVERY_MS)
    this.#alive.unref()
  }

  step(what: string): void {
    if (what === this.#last) return
    this.#last = what
    this.#line(what)
  }

  snapshot({ state, message, helper_restarts: restarts, last_crash: crash }: AppSnapshot): void {
    const again = restarts > 0 && crash !== null ? ` (helper restarted: ${escapeLine(crash)})` : ''
    this.step(`${state}: ${escapeLine(message)}${again}`)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#alive)
  }

  #line(what: string): void {
    this.#say(`${duration(this.#now() - this.#began).padStart(7)}  ${what}`)
  }
}
