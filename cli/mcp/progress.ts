import { bytes } from '../format/units.ts'
import type { DispatchState } from './schemas.ts'

const EVERY_MS = 1_000

export type Report = (progress: number, message: string) => void

/**
 * Tells how a dispatch gets on: at once, and then once a second until disposed. The number is seconds since the
 * start and always rises; the message holds no word of the guest's.
 */
export class Progress {
  readonly #report: Report
  readonly #deadlineMs: number
  readonly #now: () => number
  readonly #began: number
  readonly #timer: NodeJS.Timeout
  #last = -1
  #state: DispatchState = 'queued'
  #outputBytes = 0

  constructor(report: Report, deadlineMs: number, now: () => number = () => performance.now()) {
    this.#report = report
    this.#deadlineMs = deadlineMs
    this.#now = now
    this.#began = now()
    this.#tell()
    this.#timer = setInterval(() => this.#tell(), EVERY_MS)
  }

  entered(state: DispatchState): void {
    this.#state = state
  }

  output(count: number): void {
    this.#outputBytes += count
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  #tell(): void {
    const seconds = Math.round(this.#now() - this.#began) / 1000
    this.#last = seconds > this.#last ? seconds : this.#last + 0.001
    this.#report(this.#last, this.#message())
  }

  #message(): string {
    switch (this.#state) {
      case 'queued':
        return 'waiting for its turn'
      case 'running':
        return `running, ${bytes(this.#outputBytes)} of output, deadline ${this.#deadlineMs / 1000} s`
      case 'resetting':
      case 'done':
        return 'wiping the VM and verifying the wipe'
    }
  }
}
