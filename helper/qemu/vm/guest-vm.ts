import {
  BsmError,
  type ChannelStatus,
  type FromGuest,
  type Hello,
  LineSplitter,
  type Port,
  PORTS,
  type ResumeAck,
  type ToolDispatch,
  type VmmApiState,
} from '../../../core/protocol/index.ts'
import * as z from 'zod'
import { Channel } from '../guest-link/channel.ts'
import { Control, type EpochKey } from '../guest-link/control.ts'
import { Execution, type ExecutionHooks } from '../guest-link/execution.ts'
import { Queries } from '../guest-link/query.ts'
import { PORT_LIST } from './qemu-args.ts'
import { describeExit, type QemuExit, type QemuProcess } from './qemu-process.ts'

const QueryStatus = z.object({ status: z.string() })

export type VmEvents = {
  channel: (status: ChannelStatus) => void
  /** One line of the guest's console. */
  console: (line: string) => void
  /** QEMU ended, whether we wanted it or not. */
  exited: (exit: QemuExit) => void
}

/** A longer line is not shown. */
const CONSOLE_LINE_BYTES = 8 * 1024
const REDIAL_DEADLINE_MS = 10_000

/** One VM: a confined QEMU and the four channels into its guest. */
export class GuestVm {
  readonly qemu: QemuProcess
  readonly control: Control
  readonly queries: Queries
  readonly #channels: ReadonlyMap<Port, Channel>
  #events: VmEvents
  #execution: Execution | null = null
  #exit: QemuExit | null = null
  #redialling = false
  #closing = false

  constructor(qemu: QemuProcess, events: VmEvents) {
    this.qemu = qemu
    this.#events = events
    const channels = new Map<Port, Channel>()
    for (const port of PORT_LIST) {
      const socket = qemu.ports.get(port)
      if (socket === undefined) throw new TypeError(`QEMU has no port ${port}`)
      channels.set(
        port,
        new Channel(port, socket, {
          message: (message) => this.#take(port, message),
          closed: (error) => this.#channelClosed(port, error),
          changed: (status) => this.#events.channel(status),
        }),
      )
    }
    this.#channels = channels
    this.control = new Control(this.#channel(PORTS.control))
    this.queries = new Queries(this.#channel(PORTS.query))
    const lines = new LineSplitter(CONSOLE_LINE_BYTES)
    qemu.console.on('data', (chunk: Buffer) => {
      for (const line of lines.push(chunk)) if (line.kind === 'line') this.#events.console(line.text)
    })
    void qemu.exited.then((exit) => this.#hasExited(exit))
  }

  get id(): string {
    return this.qemu.id
  }

  get exit(): QemuExit | null {
    return this.#exit
  }

  get execution(): Execution | null {
    return this.#execution
  }

  /** Whoever the VM belongs to now hears of it. */
  listen(events: VmEvents): void {
    this.#events = events
  }

  channels(): ChannelStatus[] {
    return [...this.#channels.values()].map((channel) => channel.status())
  }

  /** Dials ports, all at once. */
  async dial(ports: readonly Port[], ms: number): Promise<void> {
    await Promise.all(ports.map((port) => this.#channel(port).open(ms)))
  }

  hangUp(): void {
    this.#closing = true
    for (const channel of this.#channels.values()) channel.close()
  }

  ping(): void {
    for (const channel of this.#channels.values()) channel.ping()
  }

  /** One channel is asked, by turns; of all of them a late answer is noticed. */
  pingInTurn(turn: number): void {
    const channels = [...this.#channels.values()]
    for (const channel of channels) channel.noticeStall()
    channels[turn % channels.length]?.ping()
  }

  async hello(ms: number): Promise<Hello> {
    return await this.control.hello(ms)
  }

  async resume(key: EpochKey, ms: number): Promise<ResumeAck> {
    return await this.control.resume(key, ms)
  }

  /** What QEMU itself says of the VM, asked now (§4, source 3). */
  async apiState(ms: number): Promise<VmmApiState> {
    const { status } = QueryStatus.parse(await this.qemu.qmp.execute('query-status', undefined, ms))
    return stateOf(status)
  }

  async pause(): Promise<void> {
    await this.qemu.qmp.execute('stop')
    for (const channel of this.#channels.values()) channel.forgetPings()
  }

  async run(): Promise<void> {
    await this.qemu.qmp.execute('cont')
  }

  /** Begins a dispatch; at most one runs. */
  execute(dispatch: Omit<ToolDispatch, 'type'>, epoch: number, hooks: ExecutionHooks): Execution {
    if (this.#execution !== null) throw new BsmError('BUSY', 'helper', 'Another dispatch is running.')
    if (!this.#channel(PORTS.evidence).isOpen)
      throw new BsmError('GUEST_UNREACHABLE', 'guest', 'The evidence port of the guest is not connected.', {
        nextStep: 'Reset to get a new VM.',
      })
    const execution = new Execution(dispatch, epoch, hooks)
    this.#execution = execution
    const over = () => {
      if (this.#execution === execution) this.#execution = null
    }
    execution.done.then(over, over)
    try {
      this.#channel(PORTS.dispatch).send({ type: 'ToolDispatch', ...dispatch })
    } catch (error) {
      execution.fail(BsmError.from(error, 'helper'))
    }
    return execution
  }

  /** SIGKILL; resolves once QEMU was reaped. */
  async kill(): Promise<QemuExit> {
    this.#closing = true
    return await this.qemu.kill()
  }

  #channel(port: Port): Channel {
    const channel = this.#channels.get(port)
    if (channel === undefined) throw new TypeError(`no channel ${port}`)
    return channel
  }

  #take(port: Port, message: FromGuest): void {
    switch (port) {
      case PORTS.control:
        this.control.take(message)
        return
      case PORTS.query:
        this.queries.take(message)
        return
      case PORTS.dispatch:
        // The guest answers on the port it was asked on: evidence here would be a forgery's way in.
        if (message.type !== 'EvidenceChunk') this.#execution?.take(message)
        return
      case PORTS.evidence:
        if (message.type === 'EvidenceChunk') this.#execution?.take(message)
    }
  }

  #channelClosed(port: Port, error: BsmError): void {
    if (port === PORTS.control) this.control.closed(error)
    else if (port === PORTS.query) this.queries.closed(error)
    else this.#execution?.fail(error)
    if (!this.#closing && this.#exit === null) void this.#redial()
  }

  async #redial(): Promise<void> {
    if (this.#redialling) return
    this.#redialling = true
    try {
      await this.dial(PORT_LIST, REDIAL_DEADLINE_MS)
    } catch {
      // Shown by the channel's state; the heartbeat judges the guest.
    } finally {
      this.#redialling = false
    }
  }

  #hasExited(exit: QemuExit): void {
    this.#exit = exit
    const error = new BsmError(
      'GUEST_UNREACHABLE',
      'hypervisor',
      `The VM has ended (${describeExit(exit)}).`,
      {
        nextStep: 'Reset to get a new VM.',
        ...(this.qemu.stderr === '' ? {} : { cause: this.qemu.stderr }),
      },
    )
    this.control.closed(error)
    this.queries.closed(error)
    this.#execution?.fail(error)
    this.#events.exited(exit)
  }
}

/** QEMU's run states as the contract's four (§2). */
export function stateOf(status: string): VmmApiState {
  switch (status) {
    case 'running':
      return 'running'
    case 'paused':
    case 'prelaunch':
    case 'postmigrate':
    case 'finish-migrate':
    case 'save-vm':
    case 'suspended':
    case 'debug':
      return 'paused'
    case 'inmigrate':
    case 'restore-vm':
    case 'shutdown':
      return 'stopped'
    default:
      return 'error'
  }
}
