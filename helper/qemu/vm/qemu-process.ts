import { Socket } from 'node:net'
import { constants, setPriority } from 'node:os'
import { randomInt } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import type { BsmError, Port } from '../../../core/protocol/index.ts'
import { hypervisorError, sleep, within } from '../deadline.ts'
import { isAlive, type ProcessIdentity, startTimeOf } from '../identity.ts'
import { LauncherProcess } from './launcher.ts'
import { FD, type MachineConfig, PORT_LIST, type QemuRole, qemuArgs } from './qemu-args.ts'
import { Qmp } from './qmp.ts'

export type QemuFiles = {
  ram: number
  rootfs: number
  /** A restored VM never runs its kernel, but QEMU wants one to read. */
  kernel: number
  /** Golden: written to by path. Restored: read from where the descriptor stands. */
  deviceState: number
  initrd: number | null
}

export type QemuExit = { code: number | null; signal: string | null }

export const qemuBinary = (): string => process.env['BSM_QEMU'] ?? '/usr/bin/qemu-system-aarch64'

const PAGE_BYTES = 4096
const qemuMissing = (cause: unknown): BsmError =>
  hypervisorError('QEMU for ARM64 is not installed.', 'Install it: apt-get install qemu-system-arm', cause)

const STARTED_DEADLINE_MS = 10_000
/** From SIGKILL to reaped: the kernel has up to a gigabyte of pages to give back. */
const REAPED_DEADLINE_MS = 10_000
/** Nobody's: not in any passwd, one for each VM, so that no VM may touch another's process. */
const FIRST_UID = 1_879_048_192
const UIDS = 65_536
let nextUid = randomInt(UIDS)

/** One confined QEMU and its launcher: dies with us, and is reaped before {@link kill} resolves. */
export class QemuProcess {
  readonly qmp: Qmp
  readonly console: Socket
  readonly ports: ReadonlyMap<Port, Socket>
  /** Resolves once QEMU was reaped. Never rejects. */
  readonly exited: Promise<QemuExit>
  readonly #launcher: LauncherProcess
  #identity: ProcessIdentity | null = null
  #id = ''
  #exit: QemuExit | null = null

  private constructor(launcher: LauncherProcess) {
    this.#launcher = launcher
    const socket = (fd: number): Socket => {
      const stream = launcher.child.stdio[fd]
      if (!(stream instanceof Socket)) throw new TypeError(`descriptor ${fd} is no socket`)
      stream.on('error', () => undefined) // QEMU ended; `exited` tells
      return stream
    }
    this.qmp = new Qmp(socket(FD.qmp))
    this.console = socket(FD.console)
    this.ports = new Map(PORT_LIST.map((port, i) => [port, socket(FD.ports + i)]))
    this.exited = this.#launcherSaysExited()
  }

  static async start(
    config: MachineConfig,
    role: QemuRole,
    files: QemuFiles,
    niceness: number,
  ): Promise<QemuProcess> {
    const { ram, rootfs, kernel, deviceState, initrd } = files
    const inherited = [ram, rootfs, kernel, deviceState, ...(initrd === null ? [] : [initrd])]
    const sockets = [FD.qmp, FD.console, ...PORT_LIST.map((_, i) => FD.ports + i)]
    const fds = [...sockets, ...inherited.map((_, i) => FD.ram + i)]
    const launcher = new LauncherProcess(
      [
        'run',
        ...asNobody(config),
        // The golden one writes its device state, to a memory file; the others have nothing to write.
        ...(role.kind === 'restored' ? ['--no-files'] : []),
        '--nice',
        String(niceness),
        '--fds',
        fds.join(','),
        '--',
        qemuBinary(),
      ].concat(qemuArgs(config, role)),
      [...sockets.map(() => 'pipe' as const), ...inherited],
    )
    const process = new QemuProcess(launcher)
    const { pid } = await launcher.line('started', STARTED_DEADLINE_MS).catch((error: unknown) => {
      launcher.close()
      throw existsSync(qemuBinary()) ? error : qemuMissing(error)
    })
    const start_time = startTimeOf(pid) ?? 'gone'
    process.#identity = { pid, start_time }
    // Numbers of processes come back; with the start time it is this one's alone.
    process.#id = `qemu-${pid}-${start_time}`
    return process
  }

  /** Identity of this process on this machine. */
  get id(): string {
    return this.#id
  }

  get exit(): QemuExit | null {
    return this.#exit
  }

  get stderr(): string {
    return this.#launcher.stderr
  }

  /** SIGKILL, without the guest's cooperation; resolves once it was reaped. */
  async kill(): Promise<QemuExit> {
    this.#launcher.close()
    return await within(REAPED_DEADLINE_MS, this.exited, () =>
      hypervisorError(`${this.#id} could not be killed.`, 'Look at the process on this machine.'),
    )
  }

  /** Resident bytes on the host, or null when it is gone. */
  residentBytes(): number | null {
    if (this.#exit !== null || this.#identity === null) return null
    try {
      const pages = Number(readFileSync(`/proc/${this.#identity.pid}/statm`, 'utf8').split(' ')[1])
      return Number.isFinite(pages) ? pages * PAGE_BYTES : null
    } catch {
      return null
    }
  }

  /** Back to normal priority, every thread (a process has none of its own on Linux). */
  unnice(): void {
    if (this.#exit !== null || this.#identity === null) return
    try {
      for (const thread of readdirSync(`/proc/${this.#identity.pid}/task`))
        setPriority(Number(thread), constants.priority.PRIORITY_NORMAL)
    } catch {
      // Ended meanwhile, or not root: then it was not niced either.
    }
  }

  /** Waits until no process has our identity any more; a dead one that no one reaped does not count. */
  async #gone(): Promise<void> {
    const identity = this.#identity
    if (identity === null) return
    while (isAlive(identity)) await sleep(LOOK_EVERY_MS)
  }

  async #launcherSaysExited(): Promise<QemuExit> {
    let exit: QemuExit
    try {
      const line = await this.#launcher.line('exited', NEVER)
      exit = { code: line.code, signal: line.signal ?? null }
    } catch {
      // The launcher was killed itself: PDEATHSIG takes QEMU with it, and someone else reaps it.
      await this.#gone()
      exit = { code: null, signal: 'launcher died' }
    }
    this.#exit = exit
    return exit
  }
}

/** How often a process that is not our child is looked for. */
const LOOK_EVERY_MS = 5

/** The longest delay a timer takes, 24 days. */
const NEVER = 2 ** 31 - 1

export const describeExit = (exit: QemuExit): string =>
  exit.signal ?? (exit.code === null ? 'unknown' : `code ${exit.code}`)

/** May we lower and raise priorities, and become another user? */
export const isRoot = (): boolean => process.getuid?.() === 0

function asNobody(config: MachineConfig): string[] {
  if (!isRoot()) return []
  const uid = FIRST_UID + (nextUid++ % UIDS)
  // KVM's device is open to a group; under TCG the VM has no group that anyone else has.
  const gid = config.accelerator === 'kvm' ? statSync('/dev/kvm').gid : uid
  return ['--uid', String(uid), '--gid', String(gid)]
}
