import type { UiMessage, WireError } from '../protocol.ts'
import { RequestError, type Answer, type Call } from './bridge.ts'

const ANSWER_WITHIN_MS = 5 * 60_000
/** A run also waits in the queue and for the reset after it. */
const RUN_SLACK_MS = 10 * 60_000

const SILENT: WireError = {
  code: 'TIMEOUT',
  layer: 'app',
  message: 'The app did not answer in time.',
  next_step: 'Run `bsm doctor` in a terminal.',
}

type Waiting = {
  resolve: (result: unknown) => void
  reject: (error: RequestError) => void
  timer: number
}

/** Questions that were asked and not answered yet, by the number that pairs the two. */
export class WaitingRequests {
  readonly #waiting = new Map<number, Waiting>()
  #nextId = 1

  /** Sends `call` under a new number. Rejects with a {@link RequestError}, when nothing comes too. */
  ask<C extends Call>(call: C, send: (request: { id: number } & C) => void): Promise<Answer<C>> {
    const id = this.#nextId++
    const within = call.action === 'run' ? call.deadline_ms + RUN_SLACK_MS : ANSWER_WITHIN_MS
    return new Promise((resolve, reject) => {
      const timer = window.setTimeout(() => {
        this.#waiting.delete(id)
        reject(new RequestError(SILENT))
      }, within)
      this.#waiting.set(id, { resolve: (result) => resolve(result as Answer<C>), reject, timer })
      send({ id, ...call })
    })
  }

  /** A reply that nobody waits for any more is let go. */
  answer(reply: Extract<UiMessage, { type: 'reply' }>): void {
    const waiting = this.#waiting.get(reply.id)
    if (waiting === undefined) return
    this.#waiting.delete(reply.id)
    window.clearTimeout(waiting.timer)
    if (reply.ok) waiting.resolve(reply.result)
    else waiting.reject(new RequestError(reply.error ?? SILENT))
  }

  rejectAll(error: WireError): void {
    for (const waiting of this.#waiting.values()) {
      window.clearTimeout(waiting.timer)
      waiting.reject(new RequestError(error))
    }
    this.#waiting.clear()
  }
}
