import { StringDecoder } from 'node:string_decoder'
import { BsmError } from '../../core/protocol/index.ts'
import type { Output } from '../../client/index.ts'
import type { Dispatches, Request } from './dispatches.ts'
import type {
  Cancelled,
  CancelInput,
  DispatchResult,
  DispatchState,
  Polled,
  PollInput,
  Started,
} from './schemas.ts'

const KEPT_BYTES = 1024 * 1024
const PAGE_BYTES = 64 * 1024
const RUNNING = 16
const KEPT_JOBS = 32

type Chunk = { stream: 'stdout' | 'stderr'; text: string; start: number; end: number }

/** A dispatch that runs while nobody waits for it, with the newest of its output. */
class Job {
  readonly id: string
  readonly ended: Promise<DispatchResult>
  readonly #decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') }
  #chunks: Chunk[] = []
  #total = 0
  #state: DispatchState = 'queued'
  #result: DispatchResult | null = null
  readonly #waiting = new Set<() => void>()
  readonly #abort = new AbortController()

  constructor(dispatches: Dispatches, request: Request) {
    this.id = request.id
    this.ended = dispatches
      .run(request, {
        signal: this.#abort.signal,
        onOutput: (output) => this.#take(output),
        onState: (state) => this.#enter(state),
      })
      .then((result) => {
        this.#result = result
        this.#state = 'done'
        this.#wake()
        return result
      })
  }

  get state(): DispatchState {
    return this.#state
  }

  get result(): DispatchResult | null {
    return this.#result
  }

  /** For one that the app does not know yet. */
  abort(): void {
    this.#abort.abort()
  }

  #enter(state: DispatchState): void {
    // Done is said with the result, not before.
    if (this.#state === 'done' || state === 'done' || state === this.#state) return
    this.#state = state
    this.#wake()
  }

  #take({ stream, data }: Output): void {
    const start = this.#total
    this.#total += data.length
    this.#chunks.push({ stream, text: this.#decoders[stream].write(data), start, end: this.#total })
    while (this.#total - (this.#chunks[0]?.start ?? 0) > KEPT_BYTES && this.#chunks.length > 1)
      this.#chunks.shift()
    this.#wake()
  }

  #wake(): void {
    for (const wake of this.#waiting) wake()
  }

  /** Resolves when there is more than `cursor`, when it is done, after `waitMs`, or when `signal` aborts. */
  async #news(cursor: number, waitMs: number, signal: AbortSignal): Promise<void> {
    const state = this.#state
    const isNew = () => this.#total > cursor || this.#state !== state || this.#state === 'done'
    if (isNew() || waitMs === 0 || signal.aborted) return
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(late)
        signal.removeEventListener('abort', end)
        this.#waiting.delete(look)
        resolve()
      }
      const look = () => {
        if (isNew()) end()
      }
      const late = setTimeout(end, waitMs)
      signal.addEventListener('abort', end, { once: true })
      this.#waiting.add(look)
    })
  }

  async poll({ cursor, wait_ms }: PollInput, signal: AbortSignal): Promise<Polled> {
    await this.#news(cursor, wait_ms, signal)
    const oldest = this.#chunks[0]?.start ?? 0
    const from = Math.max(Math.min(cursor, this.#total), oldest)
    const said = { stdout: '', stderr: '' }
    let next = from
    for (const { stream, text, start, end } of this.#chunks) {
      if (end <= from) continue
      if (end - from > PAGE_BYTES && next > from) break
      said[stream] += start >= from ? text : ''
      next = end
    }
    return {
      dispatch_id: this.id,
      state: this.#state,
      next_cursor: next,
      missed_bytes: Math.max(0, oldest - cursor),
      guest_output: said,
      result: this.#result,
      error: failureOf(this.#result),
    }
  }
}

/** A cancelled dispatch ended as it was told to. */
const failureOf = (result: DispatchResult | null) =>
  result === null || result.error?.code === 'CANCELLED' ? null : result.error

/** The dispatches of `exec_start`: some may run, the last ones that ended are kept. */
export class Jobs {
  readonly #dispatches: Dispatches
  readonly #jobs = new Map<string, Job>()

  constructor(dispatches: Dispatches) {
    this.#dispatches = dispatches
  }

  start(request: Request): Started {
    const running = [...this.#jobs.values()].filter(({ state }) => state !== 'done').length
    if (running >= RUNNING)
      throw new BsmError('BUSY', 'agent', `${running} dispatches of this server run or wait already`, {
        nextStep: 'wait for one with exec_poll, or end one with exec_cancel',
      })
    const job = new Job(this.#dispatches, request)
    this.#jobs.set(job.id, job)
    this.#forget()
    return { dispatch_id: job.id, state: job.state, error: null }
  }

  #forget(): void {
    for (const [id, { state }] of this.#jobs) {
      if (this.#jobs.size <= KEPT_JOBS) return
      if (state === 'done') this.#jobs.delete(id)
    }
  }

  poll(input: PollInput, signal: AbortSignal): Promise<Polled> {
    return this.#find(input.dispatch_id).poll(input, signal)
  }

  async cancel({ dispatch_id }: CancelInput): Promise<Cancelled> {
    const job = this.#find(dispatch_id)
    if (job.state !== 'done' && !(await this.#dispatches.cancel(dispatch_id))) job.abort()
    const result = await job.ended
    return {
      dispatch_id,
      cancelled: result.error?.code === 'CANCELLED',
      result,
      error: failureOf(result),
    }
  }

  #find(id: string): Job {
    const job = this.#jobs.get(id)
    if (job !== undefined) return job
    throw new BsmError(
      'BAD_REQUEST',
      'agent',
      'this server has started no such dispatch, or has forgotten it',
      {
        nextStep: 'use the dispatch_id of exec_start; the last 32 are kept while the server runs',
      },
    )
  }
}
