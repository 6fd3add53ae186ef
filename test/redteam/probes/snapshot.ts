import {
  chmodSync,
  closeSync,
  cpSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { FD } from '../../../helper/qemu/vm/qemu-args.ts'
import type { BootResult } from '../../../core/protocol/index.ts'
import { corruptByte, overwriteWhole } from '../../support/corrupt.ts'
import { until } from '../../support/deadline.ts'
import { diskOf, goldenCloneOf } from '../../support/disk.ts'
import { errorOf, type Helper } from '../../support/helper.ts'
import { copyImage, freshImage } from '../../support/image.ts'
import { commandLine, isQemu } from '../../support/processes.ts'
import type { Scratch } from '../../support/scratch.ts'
import { must } from '../../gates/broken.ts'
import { probe, type Defect, type Probe } from '../probe.ts'
import type { Stage } from '../stage.ts'

/**
 * Somebody on the host changes the golden snapshot: it is set aside by name, reported, and made again from a cold boot
 * (§4). Whoever holds the key of its HMAC, which lies outside the state directory, is out of scope.
 */

const TRUSTING: Defect = { when: 'a snapshot is not compared with its digests', helper: 'trusting' }
const FROM_DISK: Defect = { when: 'VMs are made from what lies on the disk now', qemu: 'from-disk' }
const BELIEVING: Defect = { when: 'a baseline is taken as it is written', helper: 'forged-baseline' }
/** As a forged baseline says, and no guest does. */
const FORGED = 999

const goldenDir = (scratch: Scratch): string => scratch.path('state', 'golden')
const KEPT = /^[0-9a-f]{64}$/

function snapshot(scratch: Scratch): string {
  const name = readdirSync(goldenDir(scratch)).find((each) => KEPT.test(each))
  if (name === undefined) throw new Error('there is no golden snapshot')
  return join(goldenDir(scratch), name)
}

/** Files of the snapshot, biggest first: RAM, then device state, then the manifests. */
const files = (scratch: Scratch): string[] =>
  readdirSync(snapshot(scratch))
    .map((name) => join(snapshot(scratch), name))
    .sort((a, b) => statSync(b).size - statSync(a).size)

function fileAt(scratch: Scratch, at: number): string {
  const path = files(scratch).at(at)
  if (path === undefined) throw new Error('the snapshot has fewer files')
  return path
}

const byte =
  (which: number, part: number) =>
  (scratch: Scratch): void => {
    const path = fileAt(scratch, which)
    corruptByte(path, Math.floor(statSync(path).size * part))
  }

/** One value changed in every JSON file that has it; the code that authenticates it stays as it was. */
const edited =
  (pattern: RegExp, edit: (text: string) => string) =>
  (scratch: Scratch): void => {
    const touched = files(scratch)
      .filter((path) => path.endsWith('.json'))
      .filter((path) => pattern.test(readFileSync(path, 'utf8')))
    if (touched.length === 0) throw new Error(`no JSON file has ${String(pattern)}`)
    for (const path of touched) {
      const { atime, mtime } = statSync(path)
      writeFileSync(path, edit(readFileSync(path, 'utf8')))
      utimesSync(path, atime, mtime)
    }
  }

const zeroed = (name: string) =>
  edited(new RegExp(`"${name}"`), (text) =>
    text.replace(new RegExp(`("${name}":\\s*"(?:sha256:)?)[0-9a-f]{8}`), '$100000000'),
  )
const MARK = 'written-by-root'
/** On vz RAM and devices are one file. */
const DIGEST = '(?:ram|saved_state)'

const forged = (name: string) =>
  edited(new RegExp(`"${name}"`), (text) => text.replace(new RegExp(`("${name}":\\s*)\\d+`), `$1${FORGED}`))

const whole =
  (which: number) =>
  (scratch: Scratch): void =>
    overwriteWhole(fileAt(scratch, which))

const everything: readonly ((scratch: Scratch) => void)[] = [
  whole(0),
  byte(1, 0.5),
  zeroed('nonce'),
  zeroed(DIGEST),
  forged('open_fd_count'),
  forged('overlay_bytes'),
]

const LOOK_EVERY_MS = 50

/** How it booted, by its own account, and the command lines of the VMs that it ran meanwhile. */
async function booted(helper: Helper): Promise<{ result: BootResult; commands: Set<string> }> {
  const commands = new Set<string>()
  let isOver = false
  const booting = helper.ready().finally(() => (isOver = true))
  booting.catch(() => undefined)
  while (!isOver) {
    for (const { pid } of helper.processes.filter(isQemu)) commands.add(commandLine(pid))
    await pause(LOOK_EVERY_MS)
  }
  return { result: await booting, commands }
}

/** A cold boot that says why, and a VM that works. */
async function coldBooted(stage: Stage, helper: Helper): Promise<string> {
  const { result, commands } = await booted(helper)
  stage.watch(helper)
  must(result.boot_path === 'cold_boot', 'it started from the snapshot')
  // Whatever it says: only what boots from cold has no state to come in. On a Mac there is no command line to see.
  if (process.platform === 'linux')
    must(
      [...commands].some((line) => line.includes('-kernel') && !line.includes('-incoming')),
      `it said cold_boot, and no VM of it booted: ${[...commands].join('; ')}`,
    )
  const reason = result.cold_boot_reason ?? ''
  must(/SNAPSHOT_(CORRUPT|INCOMPATIBLE)/.test(reason), `its reason was "${reason}"`)
  await helper.standbyReady()
  must((await helper.reset()).verification_passed, 'a reset fails')
  must((await helper.exec('echo', { text: 'x' })).exit_code === 0, 'its VM runs no tool')
  return reason
}

/** The new one is written while the VM serves already. */
const made = async (scratch: Scratch): Promise<string> =>
  await until(60_000, 'another snapshot', () =>
    readdirSync(goldenDir(scratch)).find((name) => KEPT.test(name)),
  )

type Rest = Partial<Pick<Probe, 'slice' | 'fullRunOnly' | 'only'>>
const tampered = (
  id: string,
  promise: string,
  run: (stage: Stage) => Promise<unknown>,
  defect: Defect = TRUSTING,
  rest: Rest = {},
): Probe =>
  probe({
    ...{ id: `snapshot.${id}`, group: 'Tampered snapshots', attacker: 'host', promise },
    ...{ needs: 'own-vm', run, defect, budgetMs: 120_000, ...rest },
  })

const LIKE_ANOTHER: Rest = { fullRunOnly: true }

const spoiled = (
  id: string,
  what: string,
  spoil: (scratch: Scratch) => void,
  rest: Rest = {},
  defect = TRUSTING,
): Probe =>
  tampered(
    id,
    `No VM comes from a snapshot with ${what}.`,
    async (stage) => {
      const scratch = await stage.context.golden()
      spoil(scratch)
      return await coldBooted(stage, stage.context.boot(scratch))
    },
    defect,
    rest,
  )

// ---------------------------------------------------------------- while VMs run

/** Long enough for a VM that does not come up to be given up. */
const RESET_MS = 90_000

/** A helper with a standby. The files of its snapshot lie where a QEMU that is told to takes them from. */
async function running(stage: Stage): Promise<Helper> {
  const links = ['ram', 'device_state'].map((name) => join(stage.qemu.dir, name))
  for (const link of links) rmSync(link, { force: true })
  const helper = await stage.own({ env: stage.qemu.environment })
  await helper.standbyReady()
  if (stage.which === 'qemu')
    for (const link of links) {
      linkSync(join(snapshot(helper.scratch), basename(link)), link)
      chmodSync(link, 0o666)
    }
  return helper
}

/** Resets pass and VMs work: the standby that was there, and those that are made from now on. */
async function goesOn(helper: Helper): Promise<void> {
  for (let n = 0; n < 3; n += 1) {
    const reset = await helper.ask({ kind: 'reset' }, RESET_MS)
    const isPassed = reset.kind === 'reset_response' && reset.verification_passed
    must(isPassed, `reset ${n} failed: ${JSON.stringify(errorOf(reset))}`)
    must(reset.open_fd_count_baseline !== FORGED, 'the forged baseline was believed')
    must((await helper.exec('echo', { text: 'x' })).exit_code === 0, 'its VM runs no tool')
  }
}

const whileRunning = (
  id: string,
  what: string,
  spoil: (scratch: Scratch) => void,
  defect: Defect,
  rest: Rest = {},
): Probe =>
  tampered(
    `${id}-while-running`,
    `${what} changed while VMs run from it changes none of them nor of those after, and none comes from it after a restart.`,
    async (stage) => {
      const helper = await running(stage)
      spoil(helper.scratch)
      await goesOn(helper)
      await helper.shutdown()
      return await coldBooted(stage, stage.context.boot(helper.scratch))
    },
    defect,
    rest,
  )

/** Puts a byte of a file in its own place. */
function isWritable(path: string): boolean {
  const fd = openSync(path, 'r+')
  try {
    const byte = Buffer.alloc(1)
    readSync(fd, byte, 0, 1, 0)
    writeSync(fd, byte, 0, 1, 0)
    return true
  } catch {
    return false
  } finally {
    closeSync(fd)
  }
}

async function attackMemory(helper: Helper): Promise<string> {
  await helper.reset()
  await helper.standbyReady()
  const vms = helper.processes.filter(isQemu)
  if (vms.length < 2) throw new Error(`there are ${vms.length} VMs, and not one and a standby`)
  const memories = readdirSync(`/proc/${helper.pid}/fd`)
    .map((fd) => `/proc/${helper.pid}/fd/${fd}`)
    .filter((path) => /^\/memfd:bsm-(ram|deviceState)/.test(readlinkSync(path)))
  if (memories.length < 2)
    throw new Error(`the helper holds ${memories.length} memories, and not RAM and devices`)
  for (const path of [...memories, ...vms.map(({ pid }) => `/proc/${pid}/fd/${FD.ram}`)])
    must(!isWritable(path), `${readlinkSync(path)}, of which VMs are made, can be written to`)
  return `${memories.length} memories are sealed`
}

async function attackClone(stage: Stage, helper: Helper): Promise<string> {
  overwriteWhole(goldenCloneOf(helper))
  const after = helper.mark
  await goesOn(helper)
  await helper.event('log', { after, where: (event) => event.message?.includes('cloned again') === true })
  // With the kept one gone too there is nothing left to make a VM from.
  await helper.standbyReady()
  overwriteWhole(goldenCloneOf(helper))
  whole(0)(helper.scratch)
  await helper.reset()
  const error = errorOf(await helper.ask({ kind: 'reset' }, RESET_MS))
  must(/bytes are not those/.test(error?.message ?? ''), `its second reset said ${JSON.stringify(error)}`)
  await helper.shutdown()
  return await coldBooted(stage, stage.context.boot(helper.scratch))
}

export const SNAPSHOT: readonly Probe[] = [
  spoiled('ram-byte', 'one byte of its RAM changed', byte(0, 0.5), { slice: true }),
  spoiled('ram-first-byte', 'the first byte of its RAM changed', byte(0, 0), LIKE_ANOTHER, {
    when: 'a start from the snapshot is called a cold boot',
    helper: 'pretending',
  }),
  spoiled(
    'ram-cut',
    'its RAM cut short',
    (scratch) => {
      const ram = fileAt(scratch, 0)
      truncateSync(ram, statSync(ram).size - 4096)
    },
    LIKE_ANOTHER,
  ),
  spoiled('device-state', 'one byte of its device state changed', byte(1, 0.5), {
    only: { helper: 'qemu', because: 'there it is part of one file with the RAM' },
  }),
  spoiled('nonce', 'another nonce in its manifest', zeroed('nonce'), LIKE_ANOTHER),
  spoiled('digest', 'another digest of the RAM in its manifest', zeroed(DIGEST), LIKE_ANOTHER),
  spoiled(
    'no-json',
    'a manifest that is no JSON',
    edited(/"nonce"/, () => '{'),
    LIKE_ANOTHER,
  ),
  spoiled('all', 'RAM, device state and manifest changed, all together', (scratch) => {
    for (const spoil of everything) spoil(scratch)
  }),
  spoiled('other-key', 'another key in the place of the one that signed it', (scratch) =>
    writeFileSync(scratch.path('config', 'manifest.key'), `${'ab'.repeat(32)}\n`),
  ),

  whileRunning(
    'all',
    'RAM, device state, manifest and baselines',
    (scratch) => {
      for (const spoil of everything) spoil(scratch)
    },
    TRUSTING,
  ),
  whileRunning('ram', 'All of its RAM', whole(0), FROM_DISK, LIKE_ANOTHER),
  whileRunning('device-state', 'All of its device state', whole(1), FROM_DISK, {
    ...LIKE_ANOTHER,
    only: { helper: 'qemu', because: 'there it is part of one file with the RAM' },
  }),
  whileRunning('manifest', 'All of its manifest', whole(-2), TRUSTING, LIKE_ANOTHER),
  tampered(
    'baselines-while-running',
    'Baselines changed while VMs run are believed neither by them nor after a restart.',
    async (stage) => {
      const helper = await running(stage)
      for (const name of ['open_fd_count', 'overlay_bytes']) forged(name)(helper.scratch)
      await goesOn(helper)
      await helper.shutdown()
      const again = stage.context.boot(helper.scratch)
      await again.ready()
      await again.standbyReady()
      await goesOn(again)
    },
    BELIEVING,
    LIKE_ANOTHER,
  ),
  tampered(
    'private-copy',
    'What VMs are made from is sealed, or a change of it is found before the next one comes.',
    async (stage) => {
      const helper = await running(stage)
      return await (stage.which === 'vz' ? attackClone(stage, helper) : attackMemory(helper))
    },
    FROM_DISK,
    LIKE_ANOTHER,
  ),
  probe({
    ...{ id: 'snapshot.shared-disk', group: 'Tampered snapshots', attacker: 'tool' },
    promise: 'VMs share no disk that can be written to: what root writes to it is in no later VM.',
    ...{ needs: 'own-vm', variant: 'test', fullRunOnly: true },
    run: async (stage) => {
      const scratch = await stage.context.golden()
      const image = copyImage(stage.image, scratch.path('image'))
      const helper = stage.context.boot(scratch, {}, image)
      await helper.ready()
      stage.watch(helper)
      await helper.standbyReady()
      // The first kilobyte is no part of the file system, so that nothing has it in a cache.
      const node = 'mknod /dev/disk b $(cat /sys/class/block/vda/dev | tr : " ")'
      const look = 'echo read $(head -c 64 /dev/disk | wc -c); head -c 64 /dev/disk'
      const write = `printf ${MARK} | dd of=/dev/disk conv=notrunc,fsync 2>&1`
      const { stdout: said } = await helper.exec('root.sh', { command: [node, write, look].join('\n') })
      if (!said.includes('read 64')) throw new Error(`root did not get at the disk: ${said}`)
      const reset = await helper.reset()
      must(reset.verification_passed, `the reset after it failed: ${reset.failed.join(', ')}`)
      must(!readFileSync(diskOf(helper, image)).includes(MARK), 'it is on the disk of every VM')
      const { stdout: seen } = await helper.exec('root.sh', { command: [node, look].join('\n') })
      if (!seen.includes('read 64')) throw new Error(`root did not get at the disk again: ${seen}`)
      must(!seen.includes(MARK), 'the next VM has it')
    },
    defect: { when: 'what a VM writes reaches the disk that all have', helper: 'shared-disk' },
  }),
  tampered(
    'made-again',
    'A snapshot made anew is used at the next start.',
    async (stage) => {
      const scratch = await stage.context.golden()
      byte(0, 0.5)(scratch)
      const helper = stage.context.boot(scratch)
      await coldBooted(stage, helper)
      await made(scratch)
      await helper.shutdown()
      const again = stage.context.boot(scratch)
      must((await again.ready()).boot_path === 'fast_snapshot', 'it was not used')
    },
    { when: 'no snapshot is kept', helper: 'forgetful' },
  ),
  tampered(
    'kept-aside',
    'A touched snapshot is kept aside for a person to look at.',
    async (stage) => {
      const scratch = await stage.context.golden()
      byte(0, 0.5)(scratch)
      await coldBooted(stage, stage.context.boot(scratch))
      await made(scratch)
      const left = readdirSync(goldenDir(scratch))
      must(
        left.some((entry) => /corrupt|aside/i.test(entry)),
        `there are only ${left.join(', ')}`,
      )
    },
    { when: 'what was set aside is thrown away', helper: 'tidy' },
  ),
  tampered('stale', 'No VM comes from the snapshot of another image.', async (stage) => {
    const other = await freshImage('base', 'test')
    const scratch = stage.context.scratch()
    const first = stage.context.boot(scratch, {}, other)
    await first.ready()
    await first.standbyReady()
    await first.shutdown()
    // Under the name that this image's would have, as whoever put it there would.
    const mine = await stage.context.golden()
    const name = snapshot(mine)
    rmSync(name, { recursive: true })
    cpSync(snapshot(scratch), name, { recursive: true })
    for (const each of readdirSync(scratch.path('config')))
      cpSync(scratch.path('config', each), mine.path('config', each), { recursive: true })
    return await coldBooted(stage, stage.context.boot(mine))
  }),
  tampered(
    'baseline',
    'A forged baseline of the descriptor count is never believed.',
    async (stage) => {
      const scratch = await stage.context.golden()
      forged('open_fd_count')(scratch)
      const helper = stage.context.boot(scratch)
      await helper.ready()
      stage.watch(helper)
      await helper.standbyReady()
      const reset = await helper.reset()
      must(reset.open_fd_count_baseline !== FORGED, 'it was believed')
      must(reset.verification_passed, `the reset failed: ${reset.failed.join(', ')}`)
    },
    BELIEVING,
  ),
]
