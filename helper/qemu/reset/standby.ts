import { availableParallelism } from 'node:os'
import { BsmError, LIMITS, type StandbyStatus } from '../../../core/protocol/index.ts'
import { now } from '../deadline.ts'
import { isRoot } from '../vm/qemu-process.ts'
import type { GuestVm } from '../vm/guest-vm.ts'
import type { PreparedVm, PrepareInput } from './prepare.ts'

/** What a standby costs while another VM works: only what that one leaves over. */
const STANDBY_NICENESS = 10
/** A preparation that failed is tried again after this, and twice as long each time, up to a minute. */
const FIRST_RETRY_MS = 1_000
const LAST_RETRY_MS = 60_000
/** The wall clock running ahead of the monotonic one by this much means that the host slept. */
const SUSPEND_JUMP_MS = 2_000
const WATCH_EVERY_MS = 5_000

type Preparing = {
  kind: 'preparing'
  result: Promise<PreparedVm>
  vm: GuestVm | null
  waitedSince: number | null
}
type State =
  { kind: 'none' } | Preparing | { kind: 'ready'; prepared: PreparedVm } | { kind: 'failed'; error: BsmError }

export type StandbyKeeperInput = {
  prepare: (input: Pick<PrepareInput, 'niceness' | 'waitedSince' | 'started'>) => Promise<PreparedVm>
  changed: (status: StandbyStatus) => void
  clocks?: Clocks
  /** How many VMs can be prepared at a time without one slowing the other. */
  cores?: number
}

/** Both in milliseconds; they drift apart while the host sleeps, for only the wall clock goes on. */
export type Clocks = { wall: () => number; monotonic: () => number }

const HOST_CLOCKS: Clocks = { wall: Date.now, monotonic: now }

/**
 * Keeps at most one VM prepared all the way and paused, so that a reset is a swap. Who comes before it is ready is
 * promised the one on its way, and the next is begun at once: of dispatches in a row, none waits for a whole preparation.
 */
export class StandbyKeeper {
  readonly #input: StandbyKeeperInput
  #state: State = { kind: 'none' }
  #promised: Preparing | null = null
  #since = new Date().toISOString()
  #prepareMs: number | null = null
  #message: string | null = null
  #retry: NodeJS.Timeout | null = null
  #retryMs = FIRST_RETRY_MS
  #watch: NodeJS.Timeout
  readonly #clocks: Clocks
  readonly #cores: number
  #looked: { wall: number; monotonic: number }
  #closed = false

  constructor(input: StandbyKeeperInput) {
    this.#input = input
    this.#clocks = input.clocks ?? HOST_CLOCKS
    this.#cores = input.cores ?? availableParallelism()
    this.#looked = this.#time()
    this.#watch = setInterval(() => this.#look(), WATCH_EVERY_MS)
    this.#watch.unref()
  }

  status(): StandbyStatus {
    return {
      state: this.#state.kind,
      prepare_ms: this.#prepareMs,
      since: this.#since,
      ...(this.#message === null ? {} : { message: this.#message }),
    }
  }

  /** Begins to prepare one, unless there is one or one is on its way. */
  prepareSoon(): void {
    if (this.#closed || this.#state.kind === 'preparing' || this.#state.kind === 'ready') return
    this.#beginAhead()
  }

  /** A prepared VM, the one at hand or the next; it is the caller's from now on, and running again or not. */
  async take(): Promise<PreparedVm> {
    this.#look()
    if (this.#state.kind === 'ready') {
      const { prepared } = this.#state
      this.#become({ kind: 'none' })
      return prepared
    }
    return await this.#hurried(this.#state.kind === 'preparing' ? this.#state : this.#begin(0, now()))
  }

  /** Kills the standby, and one that is promised; `reason` is shown. */
  discard(reason: string): void {
    const state = this.#state
    if (state.kind === 'ready') void state.prepared.vm.kill().catch(() => undefined)
    for (const one of this.#onTheirWay()) void one.vm?.kill().catch(() => undefined)
    this.#promised = null
    this.#message = reason
    this.#become({ kind: 'none' })
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#watch)
    if (this.#retry !== null) clearTimeout(this.#retry)
    const state = this.#state
    const onTheirWay = this.#onTheirWay()
    this.#promised = null
    this.#become({ kind: 'none' })
    if (state.kind === 'ready') await state.prepared.vm.kill()
    for (const one of onTheirWay) {
      await one.vm?.kill()
      await one.result.then((late) => late.vm.kill()).catch(() => undefined)
    }
  }

  async #hurried(state: Preparing): Promise<PreparedVm> {
    state.waitedSince ??= now()
    state.vm?.qemu.unnice()
    this.#promised = state
    if (this.#cores > 1) this.#beginAhead()
    else this.#become({ kind: 'none' })
    try {
      return await state.result
    } finally {
      if (this.#promised === state) this.#promised = null
    }
  }

  #onTheirWay(): Preparing[] {
    return [this.#promised, this.#state].filter((one) => one?.kind === 'preparing')
  }

  #isWanted(one: Preparing): boolean {
    return !this.#closed && this.#onTheirWay().includes(one)
  }

  #beginAhead(): void {
    this.#begin(isRoot() ? STANDBY_NICENESS : 0, null)
  }

  #begin(niceness: number, waitedSince: number | null): Preparing {
    if (this.#retry !== null) clearTimeout(this.#retry)
    this.#retry = null
    const started = now()
    const result = this.#input.prepare({
      niceness,
      waitedSince: () => state.waitedSince,
      started: (vm) => {
        if (!this.#isWanted(state)) void vm.kill().catch(() => undefined)
        state.vm = vm
        if (state.waitedSince !== null) vm.qemu.unnice()
      },
    })
    const state: Preparing = {
      kind: 'preparing',
      vm: null,
      waitedSince,
      // Paused and back to normal priority before anyone may have it.
      result: result.then(async (prepared) => {
        if (state.waitedSince === null) await prepared.vm.pause()
        prepared.vm.qemu.unnice()
        return prepared
      }),
    }
    this.#become(state)
    state.result.then(
      (prepared) => this.#prepared(state, prepared, now() - started),
      (error: unknown) => this.#failed(state, BsmError.from(error, 'helper')),
    )
    return state
  }

  #prepared(state: Preparing, prepared: PreparedVm, ms: number): void {
    if (!this.#isWanted(state)) {
      void prepared.vm.kill().catch(() => undefined)
      return
    }
    this.#prepareMs = ms
    this.#retryMs = FIRST_RETRY_MS
    if (this.#promised === state) return
    this.#message = null
    prepared.vm.listen({
      channel: () => undefined,
      console: () => undefined,
      exited: () => this.#died(prepared),
    })
    this.#become({ kind: 'ready', prepared })
  }

  #failed(state: Preparing, error: BsmError): void {
    if (this.#state !== state) return
    this.#message = error.message
    this.#become({ kind: 'failed', error })
    this.#again()
  }

  #died(prepared: PreparedVm): void {
    if (this.#state.kind !== 'ready' || this.#state.prepared !== prepared) return
    this.#message = 'The standby ended by itself.'
    this.#become({ kind: 'none' })
    this.#again()
  }

  #again(): void {
    if (this.#closed || this.#retry !== null) return
    this.#retry = setTimeout(() => {
      this.#retry = null
      this.prepareSoon()
    }, this.#retryMs)
    this.#retryMs = Math.min(this.#retryMs * 2, LAST_RETRY_MS)
  }

  /** Old age, and a host that slept: its clock and its randomness may not be trusted (§4). */
  #look(): void {
    const before = this.#looked
    const time = this.#time()
    this.#looked = time
    const slept = time.wall - before.wall - (time.monotonic - before.monotonic)
    if (this.#state.kind !== 'ready' && this.#state.kind !== 'preparing') return
    if (slept > SUSPEND_JUMP_MS) {
      this.discard('The host slept: the standby was discarded.')
      this.prepareSoon()
    } else if (
      this.#state.kind === 'ready' &&
      time.monotonic - this.#state.prepared.readyAt > LIMITS.standbyAgeMs
    ) {
      this.discard('The standby was older than 10 minutes.')
      this.prepareSoon()
    }
  }

  #time(): { wall: number; monotonic: number } {
    return { wall: this.#clocks.wall(), monotonic: this.#clocks.monotonic() }
  }

  #become(state: State): void {
    if (this.#state === state) return
    this.#state = state
    this.#since = new Date().toISOString()
    this.#input.changed(this.status())
  }
}
