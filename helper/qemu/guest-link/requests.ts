import { BsmError } from '../../../core/protocol/index.ts'
import { type Deferred, deferred, within } from '../deadline.ts'

/** Questions under way on one connection, by key; each has a deadline and all fail when it closes. */
export class Requests<T> {
  readonly #pending = new Map<string, Deferred<T>>()

  async ask(key: string, ms: number, send: () => void): Promise<T> {
    if (this.#pending.has(key)) throw new BsmError('BUSY', 'helper', `${key} is already under way.`)
    const answer = deferred<T>()
    this.#pending.set(key, answer)
    try {
      send()
      return await within(
        ms,
        answer.promise,
        () =>
          new BsmError('GUEST_UNREACHABLE', 'guest', `The guest did not answer ${key} within ${ms} ms.`, {
            nextStep: 'Reset to get a new VM.',
          }),
      )
    } finally {
      this.#pending.delete(key)
    }
  }

  /** False when no one asked. */
  answer(key: string, value: T): boolean {
    const pending = this.#pending.get(key)
    pending?.resolve(value)
    return pending !== undefined
  }

  refuse(key: string, error: BsmError): boolean {
    const pending = this.#pending.get(key)
    pending?.reject(error)
    return pending !== undefined
  }

  failAll(error: BsmError): void {
    for (const pending of this.#pending.values()) pending.reject(error)
  }
}
