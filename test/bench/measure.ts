import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { ResetReport } from '../../core/protocol/index.ts'
import { helperBinary } from '../support/helper-binary.ts'
import { Helper } from '../support/helper.ts'
import type { GuestImage } from '../support/image.ts'
import { Scratch } from '../support/scratch.ts'
import { Sandbox } from '../../client/index.ts'
import { controlOf, standbyReady } from '../support/app.ts'
import { cpuSeconds, residentMib } from './footprint.ts'
import type { Machine } from './machine.ts'
import { NpmStart } from './npm-start.ts'
import { RawVm } from './raw-vm.ts'
import { mean, median, p95, repeat, timed } from './stats.ts'

export type Sizes = {
  coldBoots: number
  resets: number
  backToBack: number
  execs: number
  /** Of each helper, turn by turn. */
  helperResets: number
  roundTrips: number
  loadvms: number
  idleSeconds: number
}
export const FULL: Sizes = {
  ...{
    coldBoots: 5,
    resets: 100,
    backToBack: 25,
    execs: 30,
    helperResets: 30,
    roundTrips: 200,
    loadvms: 20,
    idleSeconds: 30,
  },
}
export const QUICK: Sizes = {
  ...{
    coldBoots: 1,
    resets: 10,
    backToBack: 5,
    execs: 5,
    helperResets: 5,
    roundTrips: 30,
    loadvms: 3,
    idleSeconds: 10,
  },
}

type Say = (line: string) => void

/** What a helper takes for a VM from its snapshot (loaded and dialled), for the proof at the swap, for a tool. */
export type HelperPhases = { restore: number; verify: number; exec: number }

/** Medians, back to back means; every key carries its unit. */
export type Figures = {
  backend: string
  accelerator: string
  cold_boot_ms: number
  raw_cold_boot_ms: number
  reset_ms: number
  reset_p95_ms: number
  reset_phases_ms: Record<string, number>
  reset_back_to_back_ms: number
  standby_prepare_ms: number
  dispatches_per_min: number
  loadvm_ms: number
  raw_rtt_ms: number
  port_rtt_ms: number
  exec_echo_ms: number
  exec_sh_ms: number
  first_exec_ms: number
  qemu_helper_ms: HelperPhases
  /** The Swift helper, on the stand-in of Virtualization.framework. */
  vz_helper_ms: HelperPhases
  warm_start_ms: number
  idle_cpu_percent: number
  rss_mib: number
}
/** The samples behind the plot. */
export type Samples = {
  resets: ResetReport[]
  reset_ms: number[]
  loadvm_ms: number[]
  cold_boot_ms: number[]
}

const ECHO = { text: 'bench' }

export async function measure(
  image: GuestImage,
  machine: Machine,
  sizes: Sizes,
  say: Say,
): Promise<{ figures: Figures; samples: Samples }> {
  const cold = await measureColdBoots(image, machine, sizes, say)
  const raw = await measureRaw(image, machine, sizes, say)
  const live = await measureLiveVm(image, machine, sizes, say)
  const helpers = await measureHelpers(image, machine, sizes, say)
  const app = await measureApp(machine, sizes, say)
  return {
    figures: {
      ...app.figures,
      cold_boot_ms: median(cold.ours),
      raw_cold_boot_ms: median(cold.raw),
      loadvm_ms: median(raw.loadvm),
      raw_rtt_ms: median(raw.roundTrips),
      ...live,
      ...helpers,
    },
    samples: { ...app.samples, loadvm_ms: raw.loadvm, cold_boot_ms: cold.ours },
  }
}

/** Process start to the first echo, ours and the bare one in turn, so that both meet the same machine. */
async function measureColdBoots(
  image: GuestImage,
  machine: Machine,
  { coldBoots }: Sizes,
  say: Say,
): Promise<{ ours: number[]; raw: number[] }> {
  say(`cold boots, ours and bare (${coldBoots} each)`)
  const ours: number[] = []
  const raw: number[] = []
  for (let i = 0; i < coldBoots; i += 1) {
    const bare = await timed(async () => {
      const vm = await RawVm.start(image, machine)
      await vm.dial()
      await vm.thawAndEcho()
      return vm
    })
    raw.push(bare.ms)
    await bare.value.kill()
    const mine = await timed(async () => {
      const helper = await startHelper(image, machine, new Scratch('bench'))
      await helper.exec('echo', ECHO)
      return helper
    })
    ours.push(mine.ms)
    await end(mine.value)
  }
  return { ours, raw }
}

/** The same VM reset by QEMU's own `loadvm`, and a round trip over the bare bridge. */
async function measureRaw(image: GuestImage, machine: Machine, { loadvms, roundTrips }: Sizes, say: Say) {
  say(`bare QEMU: loadvm (${loadvms}) and round trips (${roundTrips})`)
  const vm = await RawVm.start(image, machine, { snapshots: true })
  try {
    await vm.dial()
    await vm.save()
    const loadvm = []
    for (let i = 0; i < loadvms; i += 1) {
      vm.hangUp()
      loadvm.push((await timed(() => vm.loadAndEcho())).ms)
    }
    const times = []
    for (let i = 0; i < roundTrips; i += 1) times.push(await vm.roundTrip())
    return { loadvm, roundTrips: times }
  } finally {
    await vm.kill()
  }
}

/** Execs on a live VM through the helper alone, where nothing resets by itself. */
async function measureLiveVm(image: GuestImage, machine: Machine, { execs }: Sizes, say: Say) {
  say(`execs on a live VM, and the first after a reset (${execs} each)`)
  const helper = await startHelper(image, machine, new Scratch('bench'))
  try {
    const first: number[] = []
    for (let i = 0; i < execs; i += 1) {
      await helper.standbyReady()
      await helper.reset()
      first.push((await timed(() => helper.exec('echo', ECHO))).ms)
    }
    await helper.standbyReady()
    const echo = await repeat(execs, () => helper.exec('echo', ECHO))
    const sh = await repeat(execs, () => helper.sh('true'))
    return { first_exec_ms: median(first), exec_echo_ms: median(echo), exec_sh_ms: median(sh) }
  } finally {
    await end(helper)
  }
}

/** Both helpers in turn, reset by reset, so that both meet the same machine. */
async function measureHelpers(image: GuestImage, machine: Machine, { helperResets }: Sizes, say: Say) {
  say(`resets and execs of the QEMU helper and the Swift helper in turn (${helperResets} each)`)
  const places = { qemu: new Scratch('bench'), vz: new Scratch('bench') }
  const start = async (which: 'qemu' | 'vz') => {
    const helper = await startHelper(image, machine, places[which], which)
    await helper.standbyReady()
    return { helper, restore: [] as number[], verify: [] as number[], exec: [] as number[] }
  }
  const sides = [await start('qemu'), await start('vz')] as const
  try {
    for (let i = 0; i < helperResets; i += 1)
      for (const side of sides) {
        // Neither prepares anything while the other is measured.
        for (const { helper } of sides) await helper.standbyReady()
        const { phases, error } = await side.helper.reset()
        if (error) throw new Error(`a reset was not verified: ${JSON.stringify(error)}`)
        const of = (...names: string[]) =>
          phases.filter(({ name }) => names.includes(name)).reduce((sum, { ms }) => sum + ms, 0)
        side.restore.push(of('load', 'reconnect'))
        side.verify.push(phases.find(({ name, ahead }) => name === 'verify' && !ahead)?.ms ?? Number.NaN)
        await side.helper.standbyReady()
        side.exec.push((await timed(() => side.helper.exec('echo', ECHO))).ms)
      }
    const [qemu, vz] = sides.map(({ restore, verify, exec }) => ({
      restore: median(restore),
      verify: median(verify),
      exec: median(exec),
    })) as [HelperPhases, HelperPhases]
    return { qemu_helper_ms: qemu, vz_helper_ms: vz }
  } finally {
    for (const { helper } of sides) await end(helper)
  }
}

/** What an agent sees of the whole: client, app, helper, VM. */
async function measureApp(machine: Machine, sizes: Sizes, say: Say) {
  const scratch = new Scratch('bench')
  say('first start, which makes the golden snapshot')
  const args = ['--cpus', String(machine.cpus), '--memory-mib', String(machine.memoryMib)]
  await (await NpmStart.run(scratch, args)).stop()
  say('warm start')
  const { ms: warmStart, value: app } = await timed(() => NpmStart.run(scratch, args))
  try {
    await using control = await controlOf(scratch)
    const token = await control.addClient('bench')
    const socketPath = join(scratch.stateDir, 'agent.sock')
    await using agent = await Sandbox.connect({ token, client: 'bench', socketPath })
    await standbyReady(control)

    say(`dispatches, each begun with a standby ready (${sizes.resets})`)
    const resets: ResetReport[] = []
    const waited: number[] = []
    const prepared: number[] = []
    for (let i = 0; i < sizes.resets; i += 1) {
      const prepareMs = (await standbyReady(control)).helper?.standby.prepare_ms
      if (typeof prepareMs === 'number') prepared.push(prepareMs)
      const response = await agent.exec('echo', ECHO)
      const verdict = response.sandbox_reset_state
      if (verdict?.verification_passed !== true)
        throw new Error(`a reset was not verified: ${JSON.stringify(response)}`)
      waited.push(verdict.reset_ms)
      const report = (await control.status()).resets[0]
      if (report) resets.push(report)
    }

    say(`dispatches back to back (${sizes.backToBack})`)
    await standbyReady(control)
    const crowded: number[] = []
    const cycles = await repeat(sizes.backToBack, async () => {
      crowded.push((await agent.exec('echo', ECHO)).sandbox_reset_state?.reset_ms ?? Number.NaN)
    })

    say(`round trips through all layers (${sizes.roundTrips})`)
    const snapshot = await standbyReady(control)
    const roundTrips = await repeat(sizes.roundTrips, () => agent.query('MemUsage'))

    say(`idle (${sizes.idleSeconds} s)`)
    const pids = app.processes
    const cpuBefore = cpuSeconds(pids)
    const since = performance.now()
    await pause(sizes.idleSeconds * 1000)
    const idle = ((cpuSeconds(pids) - cpuBefore) / ((performance.now() - since) / 1000)) * 100

    // The first cycle finds a standby ready; back to back begins with the second. Means: two VMs are prepared at a
    // time, so that every other dispatch finds one ready, and a median would show only one of the two kinds.
    return {
      figures: {
        backend: snapshot.helper?.backend ?? 'none',
        accelerator: snapshot.helper?.accelerator ?? 'none',
        reset_ms: median(waited),
        reset_p95_ms: p95(waited),
        reset_phases_ms: phaseMedians(resets),
        reset_back_to_back_ms: mean(crowded.slice(1)),
        standby_prepare_ms: median(prepared),
        dispatches_per_min: 60_000 / mean(cycles.slice(1)),
        port_rtt_ms: median(roundTrips),
        warm_start_ms: warmStart,
        idle_cpu_percent: idle,
        rss_mib: residentMib(pids),
      },
      samples: { resets, reset_ms: waited },
    }
  } finally {
    await app.stop()
    scratch.remove()
  }
}

/** Median of each phase; one done ahead of the swap is named so. */
function phaseMedians(resets: readonly ResetReport[]): Record<string, number> {
  const byName = new Map<string, number[]>()
  for (const { phases } of resets)
    for (const { name, ms, ahead } of phases) {
      const key = ahead ? `${name}_ahead` : name
      byName.set(key, [...(byName.get(key) ?? []), ms])
    }
  return Object.fromEntries([...byName].map(([name, sample]) => [name, median(sample)]))
}

async function startHelper(
  image: GuestImage,
  machine: Machine,
  scratch: Scratch,
  which: 'qemu' | 'vz' = 'qemu',
): Promise<Helper> {
  const helper = new Helper(await helperBinary(which), scratch, [
    ...['boot', '--kernel', image.kernel, '--rootfs', image.rootfs, '--initrd', image.initrd],
    ...['--cmdline', image.manifest.cmdline],
    ...['--cpus', String(machine.cpus), '--memory-mib', String(machine.memoryMib)],
    ...['--state-dir', scratch.stateDir, '--socket', 'none'],
  ])
  await helper.ready()
  return helper
}

async function end(helper: Helper): Promise<void> {
  await helper.shutdown()
  helper.scratch.remove()
}
