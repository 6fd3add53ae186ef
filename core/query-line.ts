import { BsmError } from './protocol/index.ts'

interface QueryLineLimits {
  /** Questions with the guest at once, of all clients together. */
  readonly running: number
  readonly waitingPerClient: number
}

type Question = { readonly client: string; readonly ask: () => Promise<void> }

/**
 * Questions to the guest: one at a time for each client, few in all, the others in line. The helper's
 * channel also carries dispatches and wipes, and no client may fill it.
 */
export class QueryLine {
  readonly #limits: QueryLineLimits
  readonly #asking = new Set<string>()
  #waiting: Question[] = []

  constructor(limits: QueryLineLimits = { running: 4, waitingPerClient: 16 }) {
    this.#limits = limits
  }

  /** Asks in turn. Rejects with BUSY when too many of this client's wait, and with what `ask` throws. */
  ask<T>(client: string, ask: () => Promise<T>): Promise<T> {
    const mine = this.#waiting.filter((question) => question.client === client).length
    if (mine >= this.#limits.waitingPerClient) return Promise.reject(tooMany(mine))
    return new Promise((resolve, reject) => {
      const asked = async (): Promise<void> => {
        try {
          resolve(await ask())
        } catch (error) {
          reject(error as Error)
        }
      }
      this.#waiting.push({ client, ask: asked })
      this.#pump()
    })
  }

  #pump(): void {
    while (this.#asking.size < this.#limits.running) {
      const next = this.#waiting.find(({ client }) => !this.#asking.has(client))
      if (next === undefined) return
      this.#waiting = this.#waiting.filter((question) => question !== next)
      this.#asking.add(next.client)
      void next.ask().finally(() => {
        this.#asking.delete(next.client)
        this.#pump()
      })
    }
  }
}

const tooMany = (waiting: number): BsmError =>
  new BsmError('BUSY', 'app', `${waiting} questions of this client wait already.`, {
    nextStep: 'Wait for an answer before asking more.',
  })
