import {
  BsmError,
  type ChannelStatus,
  type HelperStatus,
  LIMITS,
  type VmmApiState,
} from '../../../core/protocol/index.ts'
import type { HeartbeatAck, PreparedVm } from '../reset/prepare.ts'
import { type GuestVm, stateOf } from '../vm/guest-vm.ts'
import { describeExit } from '../vm/qemu-process.ts'
import type { ChannelTotals } from './channel-totals.ts'
import type { Emit } from './events.ts'

/** Of a VM that was not exercised: soon, but behind a dispatch that may already wait. */
const FIRST_BEAT_MS = 1_000

/** The VM that dispatches run in: its heartbeat, and what the helper knows of it without asking. */
export class LiveVm {
  readonly vm: GuestVm
  readonly epoch: number
  readonly vsockCid: number | undefined
  readonly #totals: ChannelTotals
  readonly #emit: Emit
  readonly #lost: (error: BsmError) => void
  readonly #timer: NodeJS.Timeout
  readonly #stopQmp: () => void
  #state: VmmApiState
  #guest: HelperStatus['guest']
  #clockStepMs: number | null
  #beats = 0
  #missed = 0
  #retired = false

  /** `totals` are those of the VMs before it; its own are added when it is retired. */
  constructor(prepared: PreparedVm, totals: ChannelTotals, emit: Emit, lost: (error: BsmError) => void) {
    this.vm = prepared.vm
    this.epoch = prepared.key.epoch
    this.vsockCid = prepared.hello.vsock_cid
    this.#totals = totals
    this.#emit = emit
    this.#lost = lost
    this.#state = 'running'
    this.#clockStepMs = prepared.firstAck.clock_step_ms
    this.#guest = prepared.beat === null ? null : this.#guestFacts(prepared.beat)
    this.vm.listen({
      channel: (channel) => emit({ event: 'channel_changed', channel: totals.with(channel) }),
      console: (message) => emit({ event: 'log', source: 'console', level: 'info', message }),
      exited: (exit) => {
        this.#become(exit.code === 0 ? 'stopped' : 'error')
        this.#lose(
          new BsmError('GUEST_UNREACHABLE', 'hypervisor', `The VM has ended (${describeExit(exit)}).`, {
            nextStep: 'Reset to get a new VM.',
          }),
        )
      },
    })
    this.#stopQmp = this.vm.qemu.qmp.on(({ event }) => {
      if (event === 'STOP') this.#become(stateOf('paused'))
      else if (event === 'RESUME') this.#become(stateOf('running'))
    })
    this.#timer = setInterval(() => void this.#beat(), LIMITS.heartbeatEveryMs)
    this.#timer.unref()
    if (prepared.beat === null) setTimeout(() => void this.#beat(), FIRST_BEAT_MS).unref()
    this.vm.ping()
    // QEMU may have ended between the preparation and this.
    if (this.vm.exit !== null) this.#become('error')
  }

  get state(): VmmApiState {
    return this.#state
  }

  get guest(): HelperStatus['guest'] {
    return this.#guest
  }

  /** The guest's clock was set again at the swap. */
  clockSet(stepMs: number): void {
    this.#clockStepMs = stepMs
    if (this.#guest !== null) this.#guest = { ...this.#guest, clock_step_ms: stepMs }
  }

  /** Its channels, with what those of the VMs before it carried. */
  channels(): ChannelStatus[] {
    return this.vm.channels().map((channel) => this.#totals.with(channel))
  }

  /** Its end is wanted from now on: no one is told. */
  retire(): void {
    if (!this.#retired) for (const channel of this.vm.channels()) this.#totals.add(channel)
    this.#retired = true
    clearInterval(this.#timer)
    this.#stopQmp()
    this.vm.listen({ channel: () => undefined, console: () => undefined, exited: () => undefined })
  }

  async #beat(): Promise<void> {
    if (this.#retired) return
    // Each answer costs an emulated VM that idles most of what it costs at all.
    this.#beats += 1
    if (this.vm.execution === null) this.vm.pingInTurn(this.#beats)
    else this.vm.ping()
    try {
      const beat = await this.vm.control.heartbeat(LIMITS.heartbeatEveryMs - 100)
      this.#missed = 0
      this.#guest = this.#guestFacts(beat)
    } catch {
      this.#missed += 1
      if (this.#missed === LIMITS.heartbeatsMissed)
        this.#lose(
          new BsmError('GUEST_UNREACHABLE', 'guest', 'The guest missed three heartbeats.', {
            nextStep: 'Reset to get a new VM.',
          }),
        )
    }
  }

  #lose(error: BsmError): void {
    if (this.#retired) return
    clearInterval(this.#timer)
    this.#emit({ event: 'guest_unreachable', vmm_api_state: this.#state, message: error.message })
    this.vm.execution?.fail(error)
    this.#lost(error)
  }

  #become(state: VmmApiState): void {
    if (this.#retired || this.#state === state) return
    this.#state = state
    this.#emit({ event: 'vmm_state_changed', vmm_api_state: state })
  }

  #guestFacts(beat: HeartbeatAck): NonNullable<HelperStatus['guest']> {
    return {
      bytes_used: beat.bytes_used,
      bytes_total: beat.bytes_total,
      processes: beat.processes,
      load: beat.load,
      overlay_bytes: beat.overlay_bytes,
      clock_step_ms: this.#clockStepMs,
      at: new Date().toISOString(),
    }
  }
}
