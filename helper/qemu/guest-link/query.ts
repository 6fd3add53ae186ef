import { randomUUID } from 'node:crypto'
import {
  BsmError,
  type FromGuest,
  type GuestResponse,
  MemUsageResult,
  OpenFdCountResult,
  ProcessListResult,
  QUERY_DEADLINE_MS,
  type QueryKind,
  type QueryResult,
} from '../../../core/protocol/index.ts'
import { now } from '../deadline.ts'
import type { Channel } from './channel.ts'
import { Requests } from './requests.ts'

const RESULT_OF = {
  OpenFdCount: OpenFdCountResult,
  MemUsage: MemUsageResult,
  ProcessList: ProcessListResult,
} as const

/** The guest answers so many at once, and refuses more: what a client asks beyond waits here. */
const AT_ONCE = 4

/** Guest queries on port 1026 (§3). */
export class Queries {
  readonly #channel: Channel
  readonly #requests = new Requests<GuestResponse>()
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(channel: Channel) {
    this.#channel = channel
  }

  /** Asks the guest; `ms` defaults to what the guest has for this kind, and as much again for the way. */
  async ask(kind: QueryKind, ms = 2 * QUERY_DEADLINE_MS[kind]): Promise<QueryResult> {
    const end = now() + ms
    let response = await this.#inTurn(async () => await this.#send(kind, ms))
    // The guest gives itself a second (§3), whoever asks may wait for five (§4): on a busy host it is asked again.
    while (response.error?.code === 'TIMEOUT' && now() < end)
      response = await this.#inTurn(async () => await this.#send(kind, end - now()))
    if (response.error !== undefined)
      throw new BsmError(
        'GUEST_UNREACHABLE',
        'guest',
        `The guest could not answer ${kind}: ${response.error.message}`,
      )
    const result = RESULT_OF[kind].safeParse(response.result)
    if (!result.success || response.query_kind !== kind)
      throw new BsmError('FRAME_MALFORMED', 'guest', `The guest's answer to ${kind} has not the form of one.`)
    return result.data
  }

  async #send(kind: QueryKind, ms: number): Promise<GuestResponse> {
    const id = randomUUID()
    return await this.#requests.ask(id, ms, () =>
      this.#channel.send({
        type: 'GuestQuery',
        query_id: id,
        query_kind: kind,
        ts: new Date().toISOString(),
      }),
    )
  }

  async #inTurn<T>(ask: () => Promise<T>): Promise<T> {
    if (this.#running >= AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#running += 1
    try {
      return await ask()
    } finally {
      this.#running -= 1
      this.#waiting.shift()?.()
    }
  }

  async openFdCount(ms?: number): Promise<number> {
    return OpenFdCountResult.parse(await this.ask('OpenFdCount', ms)).open_fd_count
  }

  take(message: FromGuest): void {
    if (message.type === 'GuestResponse') this.#requests.answer(message.query_id, message)
    else if (message.type === 'Error')
      this.closed(new BsmError('GUEST_UNREACHABLE', 'guest', `The guest refused a query: ${message.message}`))
  }

  closed(error: BsmError): void {
    this.#requests.failAll(error)
  }
}
