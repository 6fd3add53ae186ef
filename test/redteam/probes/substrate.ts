import { copyFileSync, renameSync } from 'node:fs'
import type { ResetResponse } from '../../../core/protocol/index.ts'
import { corruptByte } from '../../support/corrupt.ts'
import { until } from '../../support/deadline.ts'
import { diskOf } from '../../support/disk.ts'
import { errorOf, type Helper } from '../../support/helper.ts'
import { copyImage, type GuestImage } from '../../support/image.ts'
import { commandLine, gone } from '../../support/processes.ts'
import { must } from '../../gates/broken.ts'
import { probe, type Defect, type Probe } from '../probe.ts'
import type { Stage } from '../stage.ts'
import { counts } from './hostile.ts'

/** Somebody on the host changes the disk, the guest or the hypervisor's answers: the next reset says which source (§4). */

const CREDULOUS: Defect = { when: 'the three sources are not compared', helper: 'credulous' }
const HASTY: Defect = { when: 'every reset is given up at once', helper: 'hasty' }
const RETRYING: Defect = { when: 'a reset that diverged is tried once more', helper: 'retrying' }
const IMPATIENT: Defect = { when: 'a source that is silent gets no second chance', helper: 'impatient' }

const OF_QEMU = {
  helper: 'qemu',
  because: "The framework keeps its own account of a machine's state, which QEMU's silence does not reach.",
} as const

/** A helper whose QEMU lies when told to, with a standby. */
async function own(stage: Stage): Promise<Helper> {
  const helper = await stage.own({ env: stage.qemu.environment })
  await helper.standbyReady()
  return helper
}

type WithDisk = { helper: Helper; image: GuestImage; disk: string }

/** The same with an image of its own; `disk` is what its VM has open: the image's, or a private clone of it. */
async function ownDisk(stage: Stage): Promise<WithDisk> {
  const scratch = await stage.context.golden()
  const image = copyImage(stage.image, scratch.path('image'))
  const helper = stage.context.boot(scratch, { env: stage.qemu.environment }, image)
  await helper.ready()
  stage.watch(helper)
  await helper.standbyReady()
  return { helper, image, disk: diskOf(helper, image) }
}

/** How often a reset was tried: each try tells once that the old VM is gone. */
const tries = (helper: Helper, after: number): number =>
  helper.events('reset_phase', after).filter(({ phase }) => phase.name === 'discard').length

/** A reset halts at its first try because of `sources` alone, and nothing runs any more. */
async function diverges(helper: Helper, ...sources: string[]): Promise<ResetResponse> {
  const after = helper.mark
  const reset = await helper.reset()
  must(reset.failed.join() === sources.join(), `the reset named ${reset.failed.join(', ') || 'nothing'}`)
  must(!reset.verification_passed, 'the reset passed')
  must(reset.divergence_action === 'halt', `it did not halt: ${reset.divergence_action}`)
  const code = reset.error?.code
  must(code === 'RESET_VERIFICATION_DIVERGENCE', `its error was ${code}`)
  must(tries(helper, after) === 1, `it was tried ${tries(helper, after)} times`)
  await refusesEverything(helper)
  return reset
}

/** A reset is given up after its second try, at which `source` was silent too, and nothing runs any more. */
async function timesOut(helper: Helper, source: ResetResponse['failed'][number]): Promise<void> {
  const after = helper.mark
  const reset = await helper.request('reset', {}, 90_000)
  must(reset.error?.code === 'RESET_VERIFICATION_TIMEOUT', `its error was ${reset.error?.code}`)
  // On a busy machine another source may be late beside it.
  must(reset.failed.includes(source), `it named ${reset.failed.join(', ')}`)
  must(!reset.verification_passed, 'the reset passed')
  must(reset.divergence_action === 'none', `it was taken for a lie: ${reset.divergence_action}`)
  must(tries(helper, after) === 2, `it was tried ${tries(helper, after)} times`)
  await refusesEverything(helper)
}

async function refusesEverything(helper: Helper): Promise<void> {
  const exec = await helper.ask({
    ...{ kind: 'exec', command_id: crypto.randomUUID(), tool: 'echo' },
    ...{ params: { text: 'x' }, deadline_ms: 5_000 },
  })
  must(errorOf(exec)?.code === 'DEGRADED', `a dispatch was not refused: ${JSON.stringify(exec)}`)
  const reset = await helper.ask({ kind: 'reset' })
  must(errorOf(reset)?.code === 'DEGRADED', `another reset was not refused: ${JSON.stringify(reset)}`)
}

async function passes(helper: Helper, reset: ResetResponse): Promise<void> {
  must(
    reset.verification_passed,
    `the reset failed: ${reset.failed.join(', ')} ${reset.error?.message ?? ''}`,
  )
  must((await helper.exec('echo', { text: 'x' })).exit_code === 0, 'its VM runs no tool')
}

/** A reset passes at its second try. */
async function passesAtSecond(helper: Helper, reset: Promise<ResetResponse>, after: number): Promise<void> {
  await passes(helper, await reset)
  must(tries(helper, after) === 2, `it was tried ${tries(helper, after)} times`)
}

/** A helper with a standby, and the number of descriptors that its VMs are held to. */
async function counted(stage: Stage): Promise<{ helper: Helper; baseline: number }> {
  const helper = await own(stage)
  const reset = await helper.reset()
  await passes(helper, reset)
  await helper.standbyReady()
  return { helper, baseline: reset.open_fd_count_baseline ?? 0 }
}

/** A reset while the guests count one descriptor fewer than there should be. */
async function miscounted(stage: Stage): Promise<void> {
  const { helper, baseline } = await counted(stage)
  stage.qemu.attack([counts([baseline - 1])])
  const reset = await diverges(helper, 'open_fd_count')
  must(reset.open_fd_count === baseline - 1, `it counted ${reset.open_fd_count}`)
}

type Rest = Partial<Pick<Probe, 'only' | 'slice' | 'fullRunOnly' | 'budgetMs'>>
const lie = (
  id: string,
  promise: string,
  run: (stage: Stage) => Promise<unknown>,
  defect: Defect,
  rest: Rest = {},
): Probe =>
  probe({
    ...{ id: `substrate.${id}`, group: 'Lying substrate', attacker: 'host', promise },
    ...{ needs: 'own-vm', variant: 'test', run, defect, budgetMs: 90_000, ...rest },
  })

const disk = [
  lie(
    'disk-byte',
    'One byte of the rootfs changed on the host, its size and times as before, is caught by fs_hash.',
    async (stage) => {
      const { helper, image, disk: path } = await ownDisk(stage)
      corruptByte(path, Math.floor(image.manifest.rootfs.size * 0.75))
      await diverges(helper, 'fs_hash')
    },
    CREDULOUS,
    { slice: true },
  ),
  lie(
    'disk-byte-during-dispatch',
    'A byte of the rootfs that changes while a dispatch runs is caught at the reset after it.',
    async (stage) => {
      const { helper, disk: path } = await ownDisk(stage)
      const after = helper.mark
      const command_id = crypto.randomUUID()
      const run = helper.sh('echo go; sleep 600', { command_id, deadline_ms: 60_000 })
      await helper.event('exec_output', { after })
      corruptByte(path, 4096)
      if ((await helper.status()).exec === null) throw new Error('the dispatch was over before')
      await helper.request('cancel', { command_id })
      await run
      await diverges(helper, 'fs_hash')
    },
    CREDULOUS,
  ),
  lie(
    'disk-byte-between-dispatches',
    'A byte of the rootfs that changes while the VM is at rest between two dispatches is caught at the next reset.',
    async (stage) => {
      const { helper, image, disk: path } = await ownDisk(stage)
      await helper.exec('echo', { text: 'one' })
      await passes(helper, await helper.reset())
      await helper.standbyReady()
      corruptByte(path, Math.floor(image.manifest.rootfs.size * 0.75))
      await helper.exec('echo', { text: 'two' })
      await diverges(helper, 'fs_hash')
    },
    CREDULOUS,
  ),
  lie(
    'disk-replaced',
    'The rootfs replaced by an equal file under the same name is caught by fs_hash.',
    async (stage) => {
      const { helper, disk: path } = await ownDisk(stage)
      const other = helper.scratch.path('other')
      copyFileSync(path, other)
      renameSync(other, path)
      await diverges(helper, 'fs_hash')
    },
    CREDULOUS,
  ),
  lie(
    'disk-byte-before-boot',
    'A rootfs that is not the one of its manifest boots nothing.',
    async (stage) => {
      const scratch = await stage.context.golden()
      const image = copyImage(stage.image, scratch.path('image'))
      corruptByte(image.rootfs, Math.floor(image.manifest.rootfs.size / 2))
      const { ok, error } = await stage.context.boot(scratch, {}, image).bootResult()
      must(!ok && error?.code === 'IMAGE_MISMATCH', `it booted, or said ${error?.code}`)
    },
    { when: 'nobody compares an image with its manifest', helper: 'unchecked' },
  ),
  lie(
    'disk-byte-put-back',
    'A byte changed and put back between two resets is not seen, and harms no reset (a limit that is documented).',
    async (stage) => {
      const { helper, disk: path } = await ownDisk(stage)
      corruptByte(path, 4096)
      corruptByte(path, 4096)
      await passes(helper, await helper.reset())
    },
    HASTY,
  ),
] as const

const guest = [
  lie(
    'descriptor',
    'A descriptor planted in a standby after its baseline is caught by open_fd_count.',
    async (stage) => {
      const { qemu } = stage
      const helper = await own(stage)
      const planted = qemu.planted.length
      qemu.tell('plant')
      await passes(helper, await helper.reset())
      await qemu.plantedMore(planted)
      await helper.standbyReady()
      const reset = await diverges(helper, 'open_fd_count')
      must(
        reset.open_fd_count === (reset.open_fd_count_baseline ?? 0) + 1,
        `it counted ${reset.open_fd_count}`,
      )
    },
    CREDULOUS,
  ),
  lie(
    'descriptor-count',
    'A guest that counts one descriptor fewer than the baseline is caught by open_fd_count.',
    miscounted,
    CREDULOUS,
  ),
  lie(
    'descriptor-count-once',
    'A lie halts the reset at its first try: there is no other.',
    miscounted,
    RETRYING,
    { fullRunOnly: true },
  ),
  lie(
    'descriptor-hidden',
    'A planted descriptor that its guest does not count is not seen, and is gone with its VM (a limit).',
    async (stage) => {
      const { qemu } = stage
      const helper = await own(stage)
      const planted = qemu.planted.length
      qemu.tell('plant')
      const first = await helper.reset()
      await passes(helper, first)
      await qemu.plantedMore(planted)
      await helper.standbyReady()
      qemu.relent('plant')
      const baseline = first.open_fd_count_baseline ?? 0
      qemu.attack([counts([baseline])])
      await passes(helper, await helper.reset())
      qemu.relent('frames')
      const open = async () => JSON.stringify((await helper.query('OpenFdCount')).result)
      const of = (open_fd_count: number) => JSON.stringify({ open_fd_count })
      if ((await open()) !== of(baseline + 1)) throw new Error(`no descriptor was planted: ${await open()}`)
      await helper.standbyReady()
      await passes(helper, await helper.reset())
      must((await open()) === of(baseline), `the next VM has it too: ${await open()}`)
    },
    HASTY,
  ),
  lie(
    'descriptor-silent',
    'A guest that twice does not say how many descriptors are open: one retry, then degraded.',
    async (stage) => {
      const helper = await own(stage)
      stage.qemu.attack([counts([], { answered: 1 })])
      await timesOut(helper, 'open_fd_count')
    },
    IMPATIENT,
    { fullRunOnly: true },
  ),
  lie(
    'descriptor-silent-once',
    'A guest that once does not say how many descriptors are open costs one retry and no more.',
    async (stage) => {
      const helper = await own(stage)
      stage.qemu.attack([counts([], { answered: 1, vms: 1 })])
      const after = helper.mark
      await passesAtSecond(helper, helper.request('reset', {}, 90_000), after)
    },
    IMPATIENT,
  ),
] as const

const hypervisor = [
  ...['paused', 'internal-error', 'shutdown'].map((state) =>
    lie(
      `state-${state}`,
      `A hypervisor that says "${state}" of a running VM is caught by vmm_api_state.`,
      async (stage) => {
        const helper = await own(stage)
        stage.qemu.tell('lie', state)
        await diverges(helper, 'vmm_api_state')
      },
      CREDULOUS,
      { slice: state === 'paused' },
    ),
  ),
  lie(
    'two-lies',
    'Of two lies at once both sources are named.',
    async (stage) => {
      const { helper, disk: path } = await ownDisk(stage)
      corruptByte(path, 4096)
      stage.qemu.tell('lie', 'paused')
      await diverges(helper, 'fs_hash', 'vmm_api_state')
    },
    CREDULOUS,
  ),
  lie(
    'silent',
    'A source that stays silent is a timeout and no lie: one retry, then degraded.',
    async (stage) => {
      const helper = await own(stage)
      stage.qemu.tell('silent')
      await timesOut(helper, 'vmm_api_state')
    },
    CREDULOUS,
    { only: OF_QEMU },
  ),
  lie(
    'silent-once',
    'A source that is silent once costs one retry and no more.',
    async (stage) => {
      const helper = await own(stage)
      stage.qemu.tell('silent')
      const after = helper.mark
      const reset = helper.request('reset', {}, 90_000)
      await helper.event('reset_phase', {
        after,
        ms: 30_000,
        where: ({ phase }) => phase.name === 'verify' && !phase.ahead,
      })
      stage.qemu.relent('silent')
      await passesAtSecond(helper, reset, after)
    },
    HASTY,
    { only: OF_QEMU },
  ),
  lie(
    'phantom',
    'A VM that is gone, and of which the hypervisor says that it runs, is found silent and never served: another is made.',
    async (stage) => {
      const helper = await own(stage)
      const machines = helper.processes.filter(({ pid }) =>
        commandLine(pid).startsWith('/usr/bin/qemu-system'),
      )
      if (machines.length !== 2)
        throw new Error(`there were ${machines.length} machines, and not one and a standby`)
      stage.qemu.tell('phantom')
      for (const { pid } of machines) process.kill(pid, 'SIGKILL')
      await gone(machines)
      const after = helper.mark
      const reset = await helper.request('reset', {}, 90_000)
      stage.qemu.relent('phantom')
      await passesAtSecond(helper, Promise.resolve(reset), after)
      const why = helper.events('log', after).map(({ message }) => message ?? '')
      must(
        why.some((line) => /the wipe's own proof.* stayed silent/.test(line)),
        `nobody said why: ${why.join(' ')}`,
      )
    },
    { when: 'a reset does nothing', helper: 'idle-reset' },
    { budgetMs: 150_000 },
  ),
  lie(
    'refusing',
    'A hypervisor that starts no VM any more fails the reset with a sentence, and works again once it does.',
    async (stage) => {
      const helper = await own(stage)
      stage.qemu.tell('refuse')
      await helper.reset()
      const error = errorOf(await helper.ask({ kind: 'reset' }, 90_000))
      must(/RESET_FAILED|VM_LIFECYCLE_ERROR/.test(error?.code ?? ''), `its error was ${error?.code}`)
      must(/\s/.test(error?.message ?? '') && (error?.next_step ?? '') !== '', 'it does not say what to do')
      stage.qemu.relent()
      await until(90_000, 'a reset that works again', async () => {
        const again = await helper.ask({ kind: 'reset' }, 60_000)
        return again.kind === 'reset_response' && again.verification_passed
      })
      must((await helper.exec('echo', { text: 'back' })).exit_code === 0, 'its VM runs no tool')
    },
    CREDULOUS,
    { budgetMs: 150_000 },
  ),
] as const

const after = [
  lie(
    'exit-code',
    'A helper that diverged ends with 68 when it is shut down.',
    async (stage) => {
      const { helper, disk: path } = await ownDisk(stage)
      corruptByte(path, 4096)
      await helper.reset()
      const { code } = await helper.shutdown()
      must(code === 68, `it ended with ${code}`)
    },
    { when: 'an exit code says nothing', helper: 'wrong-exit' },
  ),
  lie(
    'honest',
    'Without a lie, with the same QEMU in between, a reset passes.',
    async (stage) => {
      const helper = await own(stage)
      await passes(helper, await helper.reset())
    },
    HASTY,
  ),
] as const

export const SUBSTRATE: readonly Probe[] = [...disk, ...guest, ...hypervisor, ...after]
