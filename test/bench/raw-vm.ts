import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { PORTS, type FromGuest, type Port } from '../../core/protocol/index.ts'
import { Channel } from '../../helper/qemu/guest-link/channel.ts'
import { Qmp } from '../../helper/qemu/vm/qmp.ts'
import { run } from '../../build/run.ts'
import type { Machine } from './machine.ts'
import { until, within } from '../support/deadline.ts'
import type { GuestImage } from '../support/image.ts'

const DEADLINE_MS = 60_000
/** The guest has no way to say that it has seen the hang-up; nothing is measured meanwhile. */
const SETTLE_MS = 500
const SNAPSHOT = 'golden'

/**
 * What one would do without us: the bare QEMU command line on the same image, sockets in a folder, no snapshot of
 * ours, no verification. Only the guest's own protocol is spoken, for nothing else answers in it.
 */
export class RawVm {
  readonly #folder: string
  readonly #child: ChildProcess
  readonly #sockets: Socket[] = []
  readonly #channels = new Map<Port, Channel>()
  readonly #waiting = new Map<string, (message: FromGuest) => void>()
  #qmp: Qmp | null = null

  private constructor(folder: string, child: ChildProcess) {
    this.#folder = folder
    this.#child = child
  }

  /** Starts the process; nothing is waited for. `snapshots` adds the disk that `savevm` wants. */
  static async start(image: GuestImage, machine: Machine, { snapshots = false } = {}): Promise<RawVm> {
    const folder = mkdtempSync(join(tmpdir(), 'bsm-raw-'))
    const path = (name: string) => join(folder, name)
    if (snapshots) await run('qemu-img', ['create', '-q', '-f', 'qcow2', path('vmstate.qcow2'), '64M'])
    const ports = Object.values(PORTS)
    const args = [
      ['-M', 'virt,gic-version=3'],
      machine.accelerator === 'kvm'
        ? ['-cpu', 'host', '-accel', 'kvm']
        : ['-cpu', 'cortex-a57', '-accel', 'tcg,thread=multi'],
      ['-smp', String(machine.cpus), '-m', String(machine.memoryMib)],
      ['-kernel', image.kernel, '-initrd', image.initrd, '-append', image.manifest.cmdline],
      ['-nodefaults', '-no-user-config', '-display', 'none'],
      ['-device', 'virtio-serial-pci', '-chardev', 'null,id=con', '-device', 'virtconsole,chardev=con'],
      ['-device', 'virtio-serial-pci,id=ports'],
      ...ports.flatMap((port) => [
        ['-chardev', `socket,id=p${port},path=${path(`p${port}`)},server=on,wait=off`],
        ['-device', `virtserialport,bus=ports.0,chardev=p${port},name=bsm.${port}`],
      ]),
      ['-drive', `file=${image.rootfs},format=raw,if=none,id=root,readonly=on,file.locking=off`],
      ['-device', 'virtio-blk-pci,drive=root', '-device', 'virtio-rng-pci'],
      ...(snapshots ? [['-drive', `file=${path('vmstate.qcow2')},format=qcow2,if=none,id=vmstate`]] : []),
      ['-qmp', `unix:${path('qmp')},server=on,wait=off`],
    ].flat()
    const child = spawn('qemu-system-aarch64', args, { stdio: 'ignore' })
    return new RawVm(folder, child)
  }

  async #connect(port: Port): Promise<Channel> {
    const socket = await this.#socket(`p${port}`)
    this.#sockets.push(socket)
    return new Channel(port, socket, {
      message: (message) => this.#waiting.get(message.type)?.(message),
      closed: () => undefined,
      changed: () => undefined,
    })
  }

  async #socket(name: string): Promise<Socket> {
    const attempt = () =>
      new Promise<Socket | null>((resolve) => {
        const socket = connect(join(this.#folder, name))
        socket.once('connect', () => resolve(socket))
        socket.once('error', () => resolve(null))
      })
    return await until(DEADLINE_MS, `QEMU's socket ${name}`, attempt, 5)
  }

  async qmp(): Promise<Qmp> {
    if (this.#qmp === null) {
      this.#qmp = new Qmp(await this.#socket('qmp'))
      await this.#qmp.ready(DEADLINE_MS)
    }
    return this.#qmp
  }

  /** Dials the four ports, as the guest comes up; the control port's Hello ends it. */
  async dial(): Promise<void> {
    const hello = this.#next('Hello')
    for (const port of Object.values(PORTS)) {
      const channel = this.#channels.get(port) ?? (await this.#connect(port))
      this.#channels.set(port, channel)
      await channel.open(DEADLINE_MS)
    }
    await hello
  }

  /** Ends every connection; the sockets below them stay, as under the product. */
  hangUp(): void {
    for (const channel of this.#channels.values()) channel.close()
  }

  /** Thaws the guest and runs `echo` in it. */
  async thawAndEcho(): Promise<void> {
    const acknowledged = this.#next('ResumeAck')
    this.#channel(PORTS.control).send({
      type: 'Resume',
      ...{ epoch: 1, token: randomBytes(32).toString('hex'), entropy: randomBytes(32).toString('base64') },
      ...{ wall_clock_ns: `${BigInt(Date.now()) * 1_000_000n}` },
    })
    await acknowledged
    await this.exec('echo', { text: 'raw' })
  }

  async exec(tool: string, params: Record<string, unknown>): Promise<void> {
    const result = this.#next('ToolResult')
    this.#channel(PORTS.dispatch).send({
      type: 'ToolDispatch',
      ...{ command_id: randomUUID(), tool, params, deadline_ms: 30_000 },
    })
    const message = await result
    if (message.type !== 'ToolResult' || message.exit_code !== 0)
      throw new Error(`the raw VM answered ${JSON.stringify(message)}`)
  }

  /** One round trip over the bare bridge, in milliseconds. */
  async roundTrip(): Promise<number> {
    const channel = this.#channel(PORTS.query)
    const response = this.#next('GuestResponse')
    const since = performance.now()
    channel.send({
      type: 'GuestQuery',
      ...{ query_id: randomUUID(), query_kind: 'MemUsage', ts: new Date().toISOString() },
    })
    await response
    return performance.now() - since
  }

  /** A command of QEMU's human monitor, such as `savevm` and `loadvm`. */
  async monitor(command: string): Promise<void> {
    const answer = await (
      await this.qmp()
    ).execute('human-monitor-command', { 'command-line': command }, DEADLINE_MS)
    if (answer !== '') throw new Error(`QEMU said to "${command}": ${String(answer)}`)
  }

  /** `savevm` of a frozen, undialled guest. */
  async save(): Promise<void> {
    this.hangUp()
    await pause(SETTLE_MS)
    await this.monitor(`savevm ${SNAPSHOT}`)
  }

  /** `loadvm`, up to the first echo. */
  async loadAndEcho(): Promise<void> {
    await this.monitor(`loadvm ${SNAPSHOT}`)
    await this.dial()
    await this.thawAndEcho()
  }

  async kill(): Promise<void> {
    const gone =
      this.#child.exitCode !== null || this.#child.signalCode !== null
        ? Promise.resolve()
        : new Promise<void>((resolve) => this.#child.once('exit', () => resolve()))
    this.#child.kill('SIGKILL')
    await within(DEADLINE_MS, 'the end of the raw VM', gone)
    for (const socket of this.#sockets) socket.destroy()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #channel(port: Port): Channel {
    const channel = this.#channels.get(port)
    if (channel === undefined) throw new Error(`port ${port} was not dialled`)
    return channel
  }

  #next(type: FromGuest['type']): Promise<FromGuest> {
    return within(
      DEADLINE_MS,
      `${type} from the raw VM`,
      new Promise<FromGuest>((resolve) => this.#waiting.set(type, resolve)),
    )
  }
}
