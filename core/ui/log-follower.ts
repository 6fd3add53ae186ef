import type { App } from '../app.ts'
import type { LogSource } from '../protocol/index.ts'

/** However fast a log grows, a page hears of it this often at most; it then asks for what is new. */
const TELL_EVERY_MS = 250

/** Tells one page that one log has grown. */
export class LogFollower {
  readonly #release: () => void
  #timer: NodeJS.Timeout | undefined

  constructor(app: Pick<App, 'onLogGrew'>, source: LogSource, tell: () => void) {
    this.#release = app.onLogGrew((grown) => {
      if (grown !== source || this.#timer !== undefined) return
      this.#timer = setTimeout(() => {
        this.#timer = undefined
        tell()
      }, TELL_EVERY_MS)
    })
  }

  close(): void {
    this.#release()
    clearTimeout(this.#timer)
  }
}
