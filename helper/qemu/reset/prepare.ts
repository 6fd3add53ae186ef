import {
  BsmError,
  type HeartbeatAck as HeartbeatAckSchema,
  type Hello,
  type ResetPhase,
  type ResetPhaseName,
  type ResumeAck,
} from '../../../core/protocol/index.ts'
import type * as z from 'zod'
import { now } from '../deadline.ts'
import type { Disk } from '../disk.ts'
import type { Epochs } from '../epoch.ts'
import { type Golden, loadDeviceState } from '../golden/golden.ts'
import type { EpochKey } from '../guest-link/control.ts'
import { GuestVm } from '../vm/guest-vm.ts'
import { PORT_LIST } from '../vm/qemu-args.ts'

export type HeartbeatAck = z.infer<typeof HeartbeatAckSchema>

/** A VM restored from golden, in an epoch of its own, with every path exercised that a dispatch takes. */
export type PreparedVm = {
  vm: GuestVm
  key: EpochKey
  hello: Hello
  firstAck: ResumeAck
  /** Measured at the end of the preparation, and again at the swap; null without a warm-up. */
  openFdCount: number | null
  beat: HeartbeatAck | null
  phases: ResetPhase[]
  /** Monotonic milliseconds. */
  readyAt: number
}

export type PrepareInput = {
  golden: Golden
  disk: Disk
  epochs: Epochs
  niceness: number
  /** Since when someone waits for this VM, monotonic milliseconds; null while it is made ahead of anyone. */
  waitedSince: () => number | null
  /**
   * Run what a dispatch and a swap run, once. Only the first VM of a helper goes without: its boot is
   * waited for longer than its first dispatch.
   */
  warmup: boolean
  /** Told as soon as there is a process, so that whoever waits may hurry or end it. */
  started: (vm: GuestVm) => void
  phase: (phase: ResetPhase) => void
}

const STEP_DEADLINE_MS = 15_000

/** Restores, dials, resumes and warms up one VM. Rejects, with the VM dead, when a step fails. */
export async function prepareVm(input: PrepareInput): Promise<PreparedVm> {
  const { golden, disk } = input
  const phases: ResetPhase[] = []
  let mark = now()
  const ended = (name: ResetPhaseName) => {
    const end = now()
    const waited = input.waitedSince()
    const ahead = waited === null || waited >= end
    // Of the phase in which someone began to wait, what they waited for.
    const phase = { name, ms: end - (ahead ? mark : Math.max(mark, waited)), ahead }
    phases.push(phase)
    input.phase(phase)
    mark = end
  }
  // On its way to the disk while the VM starts; awaited before it is used.
  const nextKey = input.epochs.next()
  nextKey.catch(() => undefined)
  const qemu = await golden.startRestored(disk, input.niceness)
  const vm = new GuestVm(qemu, { channel: ignore, console: ignore, exited: ignore })
  input.started(vm)
  try {
    golden.checkQemuVersion(await qemu.qmp.ready(STEP_DEADLINE_MS))
    await loadDeviceState(qemu.qmp)
    await golden.verified()
    await vm.run()
    ended('load')
    await vm.dial(PORT_LIST, STEP_DEADLINE_MS)
    const hello = await vm.hello(STEP_DEADLINE_MS)
    ended('reconnect')
    const key = await nextKey
    const firstAck = await vm.resume(key, STEP_DEADLINE_MS)
    ended('resume')
    const openFdCount = input.warmup ? await rehearse(vm, key) : null
    ended('warmup')
    const beat = input.warmup ? await vm.control.heartbeat(STEP_DEADLINE_MS) : null
    if (input.warmup) vm.ping()
    ended('verify')
    return { vm, key, hello, firstAck, openFdCount, beat, phases, readyAt: now() }
  } catch (error) {
    await vm.kill()
    throw BsmError.from(error, 'helper')
  }
}

/** What an emulated guest has run before, it runs fast: one dispatch, and the swap's own steps. */
async function rehearse(vm: GuestVm, key: EpochKey): Promise<number> {
  await vm.control.warmup(STEP_DEADLINE_MS)
  await vm.resume(key, STEP_DEADLINE_MS)
  return await vm.queries.openFdCount(STEP_DEADLINE_MS)
}

const ignore = (): void => undefined
