import { BsmError } from './protocol/index.ts'

/** What may wait. */
interface QueueLimits {
  readonly perClient: number
  readonly total: number
  /** A dispatch with files is held whole while it waits, 24 MiB at most. */
  readonly bytesPerClient: number
  readonly bytes: number
}

const QUEUE_LIMITS: QueueLimits = {
  perClient: 32,
  total: 128,
  bytesPerClient: 64 * 1024 * 1024,
  bytes: 192 * 1024 * 1024,
}

type Job = {
  readonly id: string
  readonly client: string
  readonly bytes: number
  readonly controller: AbortController
  readonly run: (signal: AbortSignal) => Promise<void>
  readonly refuse: (error: BsmError) => void
}

/**
 * One dispatch at a time, clients in turn: whoever queues a hundred waits for them alone, the others wait
 * for one of them. A deadline starts when the job does, never here.
 */
export class DispatchQueue {
  readonly #limits: QueueLimits
  /** Jobs by client; the order of the keys is the order of turns. */
  readonly #waiting = new Map<string, Job[]>()
  #running: Job | null = null
  #open = false
  #settled: Promise<void> = Promise.resolve()
  #onChange: () => void

  constructor(limits: Partial<QueueLimits> = {}, onChange: () => void = () => undefined) {
    this.#limits = { ...QUEUE_LIMITS, ...limits }
    this.#onChange = onChange
  }

  /** Jobs that wait. */
  get length(): number {
    let length = 0
    for (const jobs of this.#waiting.values()) length += jobs.length
    return length
  }

  get running(): boolean {
    return this.#running !== null
  }

  /** Resolves when the job that runs now has ended; at once when none does. */
  get settled(): Promise<void> {
    return this.#settled
  }

  /** Whether a job of this id waits or runs. */
  has(id: string): boolean {
    return this.#find(id) !== null
  }

  /** Why a job of this many bytes would not be taken: BUSY, or an id that waits or runs already. */
  refusal(client: string, id: string, bytes: number): BsmError | null {
    if (this.has(id)) return reused(id)
    const mine = this.#waiting.get(client) ?? []
    const all = [...this.#waiting.values()].flat()
    const { perClient, total, bytesPerClient, bytes: bytesOfAll } = this.#limits
    const fits =
      mine.length < perClient &&
      all.length < total &&
      bytesOf(mine) + bytes <= bytesPerClient &&
      bytesOf(all) + bytes <= bytesOfAll
    return fits ? null : full(client, mine.length)
  }

  /** Jobs start from now on. */
  open(): void {
    this.#open = true
    this.#pump()
  }

  /** The running job goes on, no other starts; those that wait keep their place. */
  close(): void {
    this.#open = false
  }

  /**
   * Runs `work` in its turn; `bytes` is what it holds until then. Rejects with BUSY when too much waits, and with `signal`'s or a cancel's
   * CANCELLED while it waits; once it runs, `work` answers for itself and hears of both by its signal.
   */
  submit<T>(
    client: string,
    id: string,
    work: (signal: AbortSignal) => Promise<T>,
    { signal, bytes = 0 }: { readonly signal?: AbortSignal | undefined; readonly bytes?: number } = {},
  ): Promise<T> {
    if (signal?.aborted === true) return Promise.reject(cancelled())
    const refusal = this.refusal(client, id, bytes)
    if (refusal !== null) return Promise.reject(refusal)
    const mine = this.#waiting.get(client) ?? []
    return new Promise<T>((resolve, reject) => {
      const controller = new AbortController()
      const onAbort = (): void => void this.cancel(id)
      signal?.addEventListener('abort', onAbort, { once: true })
      const settled = (): void => signal?.removeEventListener('abort', onAbort)
      const job: Job = {
        id,
        client,
        bytes,
        controller,
        run: (jobSignal) => work(jobSignal).then(resolve, reject).finally(settled),
        refuse: (error) => {
          settled()
          reject(error)
        },
      }
      this.#waiting.set(client, [...mine, job])
      this.#onChange()
      this.#pump()
    })
  }

  /** Takes a waiting job out, or tells the running one by its signal. False when there is none of this id. */
  cancel(id: string, client?: string): boolean {
    const job = this.#find(id)
    if (job === null || (client !== undefined && job.client !== client)) return false
    if (job === this.#running) job.controller.abort()
    else {
      this.#remove(job)
      job.refuse(cancelled())
      this.#onChange()
    }
    return true
  }

  /** Refuses everything that waits. */
  refuseAll(error: BsmError): void {
    const waiting = [...this.#waiting.values()].flat()
    this.#waiting.clear()
    for (const job of waiting) job.refuse(error)
    this.#onChange()
  }

  /** Tells the running job to stop, if there is one, with why as its signal's reason. */
  abortRunning(why: BsmError): void {
    this.#running?.controller.abort(why)
  }

  #find(id: string): Job | null {
    if (this.#running !== null && isSameId(this.#running.id, id)) return this.#running
    for (const jobs of this.#waiting.values()) {
      const job = jobs.find((candidate) => isSameId(candidate.id, id))
      if (job !== undefined) return job
    }
    return null
  }

  #remove(job: Job): void {
    const rest = (this.#waiting.get(job.client) ?? []).filter((candidate) => candidate !== job)
    if (rest.length === 0) this.#waiting.delete(job.client)
    else this.#waiting.set(job.client, rest)
  }

  #pump(): void {
    if (!this.#open || this.#running !== null) return
    const next = this.#waiting.entries().next()
    if (next.done === true) return
    const [client, [job, ...rest]] = next.value
    this.#waiting.delete(client)
    if (job === undefined) return
    // Back to the end of the line.
    if (rest.length > 0) this.#waiting.set(client, rest)
    this.#running = job
    this.#onChange()
    this.#settled = job.run(job.controller.signal).finally(() => {
      this.#running = null
      this.#onChange()
      this.#pump()
    })
  }
}

const bytesOf = (jobs: readonly Job[]): number => jobs.reduce((sum, { bytes }) => sum + bytes, 0)

const cancelled = (): BsmError => new BsmError('CANCELLED', 'agent', 'It was cancelled before it ran.')

/** A UUID is the same in upper and lower case (RFC 9562 §4), and so is the file that a chain is kept in on macOS. */
export const isSameId = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase()

export const reused = (id: string): BsmError =>
  new BsmError('BAD_REQUEST', 'agent', `The command_id ${id} was used before.`, {
    nextStep: 'Draw a new UUID for every dispatch.',
  })

const full = (client: string, mine: number): BsmError =>
  new BsmError('BUSY', 'app', `Too many dispatches wait (${mine} of them from ${client}).`, {
    nextStep: 'Wait for an answer before sending more.',
  })
