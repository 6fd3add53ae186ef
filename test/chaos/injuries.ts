import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  statfsSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as lasting } from 'node:timers/promises'
import type { AuditVerdict } from '../../core/protocol/index.ts'
import { must } from '../gates/broken.ts'
import { until } from '../support/deadline.ts'
import { diskOf, goldenCloneOf } from '../support/disk.ts'
import type { ProcessId } from '../support/processes.ts'
import { signal } from './hittable.ts'
import { Missed } from './moments.ts'
import { sentence } from './sentence.ts'
import { canMount, type World } from './world.ts'

export type Victim = {
  id: string
  /** As a sentence begins with it. */
  who: string
  /** Null when there is none now. */
  find: (world: World) => ProcessId | null
  /** Why there is no such victim here, or null. */
  missing: () => string | null
}

const OF_THE_FRAMEWORK =
  process.platform === 'linux' ? null : "a VM's process is the virtualization framework's, not ours to hurt"
const UNMOUNTABLE = canMount ? null : 'a file system of its own can be mounted by root on Linux only'

export const VICTIMS = {
  app: { id: 'app', who: 'The app', find: (world) => world.appProcess, missing: () => null },
  helper: { id: 'helper', who: 'The helper', find: (world) => world.helper, missing: () => null },
  vm: {
    id: 'vm',
    who: 'The VM that works',
    find: (world) => world.vms[0] ?? null,
    missing: () => OF_THE_FRAMEWORK,
  },
  standby: {
    id: 'standby',
    who: 'The standby',
    find: (world) => world.vms[1] ?? null,
    missing: () => OF_THE_FRAMEWORK,
  },
} as const satisfies Record<string, Victim>

/** What is done to a process. */
export type Blow = {
  id: string
  kind: 'process'
  /** A predicate: "is killed". */
  does: string
  inflict: (victim: ProcessId) => Promise<void>
}

/** What is done to the disk or to what lies there. */
export type Fault = {
  id: string
  kind: 'disk'
  /** A clause: "The disk is full". */
  does: string
  missing: () => string | null
  inflict: (world: World) => Promise<void>
  /** Ends it, once the product has settled. */
  heal?: (world: World) => Promise<void>
  /** Looks, in an app at rest, that what was done is said. */
  said?: (world: World) => Promise<void>
  /** The app must be started again for it to matter. */
  needsRestart?: true
  /** The audit log cannot verify any more, and must say so. */
  spoilsAudit?: true
}

export type Injury = Blow | Fault

/** A hiccup: longer than anyone notices, shorter than any deadline. */
const PAUSE_MS = 2_000

function hit(victim: ProcessId, name: NodeJS.Signals): void {
  if (!signal(victim, name)) throw new Missed(`process ${victim.pid} had ended already`)
}

export const BLOWS = {
  kill: {
    id: 'kill',
    kind: 'process',
    does: 'is killed',
    inflict: async (victim) => hit(victim, 'SIGKILL'),
  },
  stop: {
    id: 'stop',
    kind: 'process',
    does: 'is stopped for good',
    inflict: async (victim) => hit(victim, 'SIGSTOP'),
  },
  pause: {
    id: 'pause',
    kind: 'process',
    does: 'is stopped for two seconds',
    inflict: async (victim) => {
      hit(victim, 'SIGSTOP')
      await lasting(PAUSE_MS) // the injury itself
      signal(victim, 'SIGCONT')
    },
  },
} as const satisfies Record<string, Blow>

/** Leaves no page free; what is used may grow meanwhile, and then a smaller size is refused. */
async function fill(world: World): Promise<void> {
  await until(5_000, 'a full disk', () => {
    const { blocks, bfree, bsize } = statfsSync(world.scratch.stateDir)
    try {
      world.resize(String(Math.max(bsize, (blocks - bfree) * bsize)))
      return true
    } catch {
      return false
    }
  })
}

/** The file of a golden snapshot that this picks, largest first. */
function ofGolden(world: World, pick: (names: string[]) => string | undefined): string {
  const [golden] = world.goldens
  if (golden === undefined) throw new Error('there is no golden snapshot')
  const folder = join(world.scratch.stateDir, 'golden', golden)
  const size = (name: string) => statSync(join(folder, name)).size
  const name = pick(readdirSync(folder).sort((a, b) => size(b) - size(a)))
  if (name === undefined) throw new Error(`${folder} has no such file`)
  return join(folder, name)
}

function halve(path: string): void {
  truncateSync(path, Math.floor(statSync(path).size / 2))
}

/** Whoever restarts with a spoilt snapshot says so, sets it aside, and boots from cold. */
async function setAside(world: World): Promise<void> {
  const reason = (await (await world.control()).status()).helper?.cold_boot_reason ?? ''
  must(/^SNAPSHOT_CORRUPT: \w+ \w+/.test(reason), `of the truncated snapshot it said: ${reason || 'nothing'}`)
}

const snapshotFault = (id: string, what: string, pick: (names: string[]) => string | undefined) =>
  ({
    id: `truncate-${id}`,
    kind: 'disk',
    does: `${what} is cut in half`,
    missing: () => null,
    inflict: async (world) => halve(ofGolden(world, pick)),
    said: setAside,
    needsRestart: true,
  }) as const satisfies Fault

const WRITTEN_MS = 30_000
const LOOK_EVERY_MS = 1

/** Cuts the RAM of the snapshot that is being written once all of it is, whatever its folder is called by then. */
async function cutWhatIsMade(world: World): Promise<void> {
  const of = (name: string) =>
    world.making.map((folder) => join(world.scratch.stateDir, 'golden', folder, name)).find(existsSync)
  const isOver = () => world.goldens.length > 0
  const path = await until(
    WRITTEN_MS,
    'a file of the snapshot',
    () => {
      if (isOver()) throw new Missed('the golden snapshot was written before that was seen')
      return of('ram') ?? of('state')
    },
    LOOK_EVERY_MS,
  )
  let file: number
  try {
    file = openSync(path, 'r+')
  } catch {
    throw new Missed('the golden snapshot was written before that was seen')
  }
  try {
    await until(WRITTEN_MS, 'the end of that file', () => isOver() || of('manifest.json'), LOOK_EVERY_MS)
    ftruncateSync(file, Math.floor(fstatSync(file).size / 2))
  } finally {
    closeSync(file)
  }
}

/** The chain of the newest dispatch that is kept. */
function newestChain(world: World): { id: string; path: string } {
  const folder = join(world.scratch.stateDir, 'evidence')
  const age = (name: string) => statSync(join(folder, name)).mtimeMs
  const chains = readdirSync(folder).filter((name) => name.endsWith('.ndjson'))
  const [newest] = chains.sort((a, b) => age(b) - age(a))
  if (newest === undefined) throw new Error('no evidence is kept')
  return { id: newest.slice(0, -'.ndjson'.length), path: join(folder, newest) }
}

/** What was cut in each world. */
const cutChains = new WeakMap<World, string>()
const cutDisks = new WeakMap<World, { path: string; whole: Buffer }>()

export const isCut = (world: World, commandId: string): boolean => cutChains.get(world) === commandId

/**
 * Whether the app is degraded now: a VM that booted all the same is found out by the reset behind its first dispatch. Else
 * no other VM came up from that disk, which the reset says, or the app ended, which it gives its reason for, or has a disk
 * that nobody cut.
 */
async function toldOfDisk(world: World, path: string): Promise<boolean> {
  if (!world.isRunning || !existsSync(path)) return false
  const control = await world.control()
  if ((await control.status()).state !== 'ready') return false
  const { sandbox_reset_state: reset } = await control.exec('echo', { text: 'x' })
  const { state } = await control.status()
  if (reset?.error?.code === 'RESET_FAILED') {
    sentence(reset.error.message, 'the reason of the reset')
    return false
  }
  must(
    reset?.verification_details.fs_hash_match === false && state === 'degraded',
    `with a root disk cut in half it is ${state}: ${JSON.stringify(reset)}`,
  )
  return true
}

export const FAULTS = {
  full: {
    id: 'full',
    kind: 'disk',
    does: 'The disk is full',
    missing: () => UNMOUNTABLE,
    inflict: fill,
    heal: async (world) => world.widen(),
  },
  'read-only': {
    id: 'read-only',
    kind: 'disk',
    does: 'The state directory becomes read-only',
    missing: () => UNMOUNTABLE,
    inflict: async (world) => world.bindReadOnly(),
    heal: async (world) => world.unbind(),
  },
  'truncate-ram': snapshotFault('ram', "The golden snapshot's RAM", ([largest]) => largest),
  'truncate-device-state': snapshotFault('device-state', "The golden snapshot's device state", (names) =>
    names.find((name) => name === 'device_state'),
  ),
  'truncate-manifest': snapshotFault('manifest', "The golden snapshot's manifest", (names) =>
    names.find((name) => name === 'manifest.json'),
  ),
  'truncate-making': {
    id: 'truncate-making',
    kind: 'disk',
    does: 'What is written of it is cut in half',
    missing: () => null,
    inflict: cutWhatIsMade,
    said: setAside,
    needsRestart: true,
  },
  'truncate-clone': {
    id: 'truncate-clone',
    kind: 'disk',
    does: "The helper's private clone of the golden snapshot is cut in half",
    missing: () => null,
    inflict: async (world) => halve(goldenCloneOf(world)),
  },
  'truncate-rootfs': {
    id: 'truncate-rootfs',
    kind: 'disk',
    does: 'The root disk is cut in half',
    missing: () => null,
    inflict: async (world) => {
      const path = diskOf(world, world.image)
      cutDisks.set(world, { path, whole: readFileSync(path) })
      halve(path)
    },
    heal: async (world) => {
      const cut = cutDisks.get(world)
      if (cut === undefined) throw new Error('no disk was cut in this world')
      const isDegraded = await toldOfDisk(world, cut.path)
      // In the same file, which a VM may have open. A clone went with its helper.
      if (existsSync(cut.path)) writeFileSync(cut.path, cut.whole, { flag: 'r+' })
      if (isDegraded) await (await world.control()).recover('The disk was put back.')
    },
  },
  'truncate-evidence': {
    id: 'truncate-evidence',
    kind: 'disk',
    does: 'The evidence of a dispatch is cut in half',
    missing: () => null,
    inflict: async (world) => {
      const { id, path } = newestChain(world)
      await until(WRITTEN_MS, 'evidence to cut', () => statSync(path).size > 0) // of a tool that runs
      cutChains.set(world, id)
      halve(path)
    },
    said: async (world) => {
      const cut = cutChains.get(world)
      if (cut === undefined) throw new Error('no chain was cut in this world')
      const verdict = await (await world.control()).verifyEvidence(cut)
      must(!verdict.ok, `the evidence that was cut verifies: ${JSON.stringify(verdict)}`)
    },
    needsRestart: true,
  },
  'truncate-audit': {
    id: 'truncate-audit',
    kind: 'disk',
    does: 'The audit log is cut in half',
    missing: () => null,
    inflict: async (world) => halve(join(world.scratch.stateDir, 'audit.jsonl')),
    said: async (world) => {
      const verdict: AuditVerdict = await (await world.control()).verifyAudit()
      must(!verdict.ok, `the audit log that was cut verifies: ${verdict.message}`)
      sentence(verdict.message, 'the verdict on the audit log')
    },
    needsRestart: true,
    spoilsAudit: true,
  },
} as const satisfies Record<string, Fault>

/** An audit log that was cut shows it for ever; the next round begins with another, and another count of it. */
export function forgetAudit({ scratch }: World): void {
  rmSync(join(scratch.stateDir, 'audit.jsonl'))
  for (const name of readdirSync(scratch.configDir))
    if (name.startsWith('audit-head-')) rmSync(join(scratch.configDir, name))
}
