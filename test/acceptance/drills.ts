import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Preflight } from '../../core/protocol/index.ts'
import { stillServes } from '../conformance/expect.ts'
import { corruptByte } from '../support/corrupt.ts'
import { until } from '../support/deadline.ts'
import type { Helper } from '../support/helper.ts'
import { copyImage } from '../support/image.ts'
import type { Acceptance } from './acceptance.ts'
import { NotHere, type Facts, type Step } from './steps.ts'

/** What a person has to do something. */
const PERSON_MS = 5 * 60_000

/** A scratch with a golden snapshot of its own, to be spoilt. */
async function ownGolden(on: Acceptance) {
  const scratch = on.scratch()
  const helper = await on.boot(scratch)
  const { golden } = await helper.status()
  await helper.shutdown()
  if (golden === null) throw new NotHere('This system cannot save and restore VMs.')
  const folder = readdirSync(scratch.path('state', 'golden'), { withFileTypes: true }).find((entry) =>
    entry.isDirectory(),
  )
  assert.ok(folder, 'the golden snapshot was kept')
  return { scratch, folder: scratch.path('state', 'golden', folder.name) }
}

/** Boots over what was spoilt: cold, with the reason, and serving. */
async function bootsCold(helper: Helper, why: RegExp): Promise<Facts> {
  const result = await helper.ready()
  assert.equal(result.boot_path, 'cold_boot')
  assert.match(result.cold_boot_reason ?? '', why)
  await stillServes(helper)
  assert.equal((await helper.reset()).verification_passed, true)
  return { said: result.cold_boot_reason ?? '' }
}

async function tampered(on: Acceptance): Promise<Facts> {
  const { scratch, folder } = await ownGolden(on)
  const files = readdirSync(folder).map((name) => join(folder, name))
  const [biggest = ''] = files.sort((a, b) => statSync(b).size - statSync(a).size)
  corruptByte(biggest, Math.floor(statSync(biggest).size / 2))
  return await bootsCold(on.start(scratch), /SNAPSHOT_CORRUPT/)
}

async function otherMachine(on: Acceptance): Promise<Facts> {
  const { scratch } = await ownGolden(on)
  return await bootsCold(on.start(scratch, { memoryMib: 512 }), /SNAPSHOT_INCOMPATIBLE/)
}

async function wrongKernel(on: Acceptance): Promise<Facts> {
  const image = copyImage(on.image, on.scratch().path('image'))
  writeFileSync(image.kernel, Buffer.alloc(4096, 0x1f))
  const helper = on.start(on.scratch(), {}, image)
  const result = await helper.bootResult()
  assert.equal(result.error?.code, 'BOOT_CONFIG_INVALID')
  assert.equal((await helper.waitForExit()).code, 65)
  return { exit: 65, said: result.error?.message ?? '' }
}

async function otherRootfs(on: Acceptance): Promise<Facts> {
  const image = copyImage(on.image, on.scratch().path('image'))
  corruptByte(image.rootfs, 4096)
  const helper = on.start(on.scratch(), {}, image)
  const result = await helper.bootResult()
  assert.equal(result.error?.code, 'IMAGE_MISMATCH')
  const { code } = await helper.waitForExit()
  assert.notEqual(code, 0)
  return { exit: code ?? 'none', said: result.error?.message ?? '' }
}

/** Pids of every process of this machine in which the hypervisor runs a VM. */
function vmProcesses(): number[] {
  const { stdout } = spawnSync(
    'pgrep',
    ['-f', process.platform === 'darwin' ? 'com.apple.Virtualization.VirtualMachine' : 'qemu-system-aarch64'],
    { encoding: 'utf8' },
  )
  return stdout.split('\n').filter(Boolean).map(Number)
}

/** A booted helper, and the processes of its VMs: on a Mac they are no children of it, and who is new is its own. */
async function bootNoting(on: Acceptance): Promise<{ helper: Helper; vms: number[] }> {
  const before = new Set(vmProcesses())
  const helper = await on.boot()
  if ((await helper.status()).standby.state === 'preparing') await helper.standbyReady()
  const isOurs =
    process.platform === 'darwin'
      ? (pid: number) => !before.has(pid)
      : (pid: number) => helper.processes.some((one) => one.pid === pid && !before.has(pid))
  return { helper, vms: vmProcesses().filter(isOurs) }
}

/** The service dies under the VM: the helper says so, and a reset mends it. */
async function killedService(on: Acceptance): Promise<Facts> {
  const { helper, vms } = await bootNoting(on)
  assert.ok(vms.length > 0, 'no process of a VM was found')
  const after = helper.mark
  for (const pid of vms) process.kill(pid, 'SIGKILL')
  const said = await helper.event('guest_unreachable', { after, ms: 60_000 })
  await until(120_000, 'a reset that passes', async () => {
    const reset = await helper.ask({ kind: 'reset' }, 90_000)
    return reset.kind === 'reset_response' && reset.verification_passed
  })
  await stillServes(helper)
  return { processes: vms.length, said: said.message ?? 'nothing' }
}

async function killedHelper(on: Acceptance): Promise<Facts> {
  const { helper, vms } = await bootNoting(on)
  assert.ok(vms.length > 0, 'no process of a VM was found')
  helper.kill('SIGKILL')
  await helper.waitForExit()
  await until(20_000, 'the end of every VM', () => vms.every((pid) => !isThere(pid)))
  const next = await on.boot()
  await stillServes(next)
  return { vms: vms.length, next_boot: (await next.bootResult()).boot_path }
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** A locked screen: nothing is restored, the snapshot is kept, and it serves again once the screen is unlocked. */
async function lockedScreen(on: Acceptance): Promise<Facts> {
  const { scratch } = await ownGolden(on)
  const isLocked = () => {
    const { stdout } = on.command(['preflight'], on.fault('console-locked'))
    return Preflight.parse(JSON.parse(stdout)).warnings.some((one) => one.code === 'CONSOLE_LOCKED')
  }
  if (!on.options.standIn) {
    if (!on.options.person) throw new NotHere('A person must lock the screen: run it with --person.')
    on.options.say(
      'Lock the screen now (Control-Command-Q), and leave it so until this says that it is done.',
    )
    await until(PERSON_MS, 'a locked screen', isLocked, 1_000)
  }
  assert.ok(isLocked())
  const locked = on.start(scratch, { env: on.fault('console-locked,restore-permission-denied,save-denied') })
  const result = await locked.ready()
  await stillServes(locked)
  await locked.shutdown()
  if (!on.options.standIn) {
    on.options.say('Done with the locked screen: unlock it.')
    await until(PERSON_MS, 'an unlocked screen', () => !isLocked(), 1_000)
  }
  const unlocked = await on.boot(scratch)
  assert.equal((await unlocked.bootResult()).boot_path, 'fast_snapshot', 'the snapshot was kept')
  return { locked_boot: result.boot_path, said: result.cold_boot_reason ?? 'nothing' }
}

/** What the machine must have slept for the guest to notice. */
const ASLEEP_MS = 3_000
const DRIFT_MS = 2_000

async function sleepAndWake(on: Acceptance): Promise<Facts> {
  const helper = await on.boot(on.golden, { env: on.fault('host-sleep') })
  if ((await helper.status()).standby.state === 'preparing') await helper.standbyReady()
  const after = helper.mark
  if (on.options.standIn) {
    helper.kill('SIGUSR1')
    await helper.event('vmm_state_changed', { after, where: (one) => one.vmm_api_state === 'paused' })
    await pause(ASLEEP_MS)
    helper.kill('SIGUSR2')
  } else {
    if (!on.options.person) throw new NotHere('A person must wake the machine: run it with --person.')
    on.options.say('The Mac goes to sleep in ten seconds. Let it sleep for half a minute, then wake it.')
    await pause(10_000)
    spawnSync('pmset', ['sleepnow'])
  }
  await helper.event('vmm_state_changed', {
    after,
    ms: PERSON_MS,
    where: (one) => one.vmm_api_state === 'running',
  })
  const woken = helper.mark
  const lag = Math.abs(Number((await helper.sh('date +%s')).stdout) * 1000 - Date.now())
  assert.ok(lag < DRIFT_MS + 1_000, `the guest's clock is off by ${lag} ms`)
  await stillServes(helper)
  const { guest, standby } = await helper.status()
  if (standby.state === 'preparing')
    await helper.event('standby_changed', {
      after: woken,
      ms: 90_000,
      where: (one) => one.standby.state !== 'preparing',
    })
  assert.equal((await helper.reset()).verification_passed, true)
  return { clock_step_ms: Math.round(guest?.clock_step_ms ?? 0), clock_off_ms: lag }
}

export const drillSteps: Step[] = [
  { id: 'tampered', title: 'Drill: a byte of the snapshot changed', run: tampered },
  { id: 'other-machine', title: 'Drill: a snapshot of another memory size', run: otherMachine },
  { id: 'wrong-kernel', title: 'Drill: a kernel that is no ARM64 Image', run: wrongKernel },
  { id: 'other-rootfs', title: 'Drill: a root disk that is not the manifest’s', run: otherRootfs },
  { id: 'killed-service', title: 'Drill: kill -9 of the VM’s own process', run: killedService },
  { id: 'killed-helper', title: 'Drill: kill -9 of the helper', run: killedHelper },
  { id: 'locked-screen', title: 'Drill: the screen is locked', run: lockedScreen },
  { id: 'sleep-wake', title: 'The host sleeps and wakes', run: sleepAndWake },
]
