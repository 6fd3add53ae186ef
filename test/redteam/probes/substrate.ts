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

/** Somebody on the host changes the disk, the guest or the hypervisor's answers: the next reset says which source (§4). */

const CREDULOUS: Defect = { when: 'the three sources are not compared', helper: 'credulous' }
const HASTY: Defect = { when: 'every reset is given up at once', helper: 'hasty' }

const OF_QEMU = {
  helper: 'qemu',
  because: "The framework keeps its own account of a machine's state, which QEMU's lies do not reach.",
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

/** The reset halted because of `sources` alone, and nothing runs any more. */
async function diverged(helper: Helper, reset: ResetResponse, ...sources: string[]): Promise<void> {
  must(reset.failed.join() === sources.join(), `the reset named ${reset.failed.join(', ') || 'nothing'}`)
  must(!reset.verification_passed, 'the reset passed')
  must(reset.divergence_action === 'halt', `it did not halt: ${reset.divergence_action}`)
  const code = reset.error?.code
  must(code === 'RESET_VERIFICATION_DIVERGENCE', `its error was ${code}`)
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

type Rest = Partial<Pick<Probe, 'only' | 'slice' | 'budgetMs'>>
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
      await diverged(helper, await helper.reset(), 'fs_hash')
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
      const run = helper.sh('echo go; read -r _ < /dev/stdin; sleep 0.1; echo end')
      await helper.event('exec_output', { after })
      corruptByte(path, 4096)
      await run
      await diverged(helper, await helper.reset(), 'fs_hash')
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
      await diverged(helper, await helper.reset(), 'fs_hash')
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
      const reset = await helper.reset()
      await diverged(helper, reset, 'open_fd_count')
      must(
        reset.open_fd_count === (reset.open_fd_count_baseline ?? 0) + 1,
        `it counted ${reset.open_fd_count}`,
      )
    },
    CREDULOUS,
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
        await diverged(helper, await helper.reset(), 'vmm_api_state')
      },
      CREDULOUS,
      { only: OF_QEMU, slice: state === 'paused' },
    ),
  ),
  lie(
    'two-lies',
    'Of two lies at once both sources are named.',
    async (stage) => {
      const { helper, disk: path } = await ownDisk(stage)
      corruptByte(path, 4096)
      stage.qemu.tell('lie', 'paused')
      await diverged(helper, await helper.reset(), 'fs_hash', 'vmm_api_state')
    },
    CREDULOUS,
    { only: OF_QEMU },
  ),
  lie(
    'silent',
    'A source that stays silent is a timeout and no lie: one retry, then degraded.',
    async (stage) => {
      const helper = await own(stage)
      stage.qemu.tell('silent')
      const after = helper.mark
      const reset = await helper.request('reset', {}, 90_000)
      must(reset.error?.code === 'RESET_VERIFICATION_TIMEOUT', `its error was ${reset.error?.code}`)
      // On a busy machine another source may be late beside it.
      must(reset.failed.includes('vmm_api_state'), `it named ${reset.failed.join(', ')}`)
      must(!reset.verification_passed, 'the reset passed')
      const tries = helper
        .events('reset_phase', after)
        .filter(({ phase }) => phase.name === 'verify' && !phase.ahead)
      must(tries.length >= 2, `it was verified ${tries.length} times`)
      await refusesEverything(helper)
    },
    CREDULOUS,
    { only: OF_QEMU },
  ),
  lie(
    'silent-once',
    'A source that is silent once costs a retry and no more.',
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
      await passes(helper, await reset)
    },
    HASTY,
    { only: OF_QEMU },
  ),
  lie(
    'phantom',
    'A VM that is gone, and of which the hypervisor says that it runs, passes no reset.',
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
      const reset = await helper.ask({ kind: 'reset' }, 90_000)
      stage.qemu.relent('phantom')
      const isPassed = reset.kind === 'reset_response' && reset.verification_passed
      if (!isPassed) return `the reset failed: ${errorOf(reset)?.code}`
      // It may have made another VM, a real one, meanwhile.
      const echoed = await helper.exec('echo', { text: 'x' }).catch(() => null)
      must(echoed?.exit_code === 0, 'the reset passed, and there is no VM')
      return 'another VM was made'
    },
    { when: 'a reset does nothing', helper: 'idle-reset' },
    { only: OF_QEMU, budgetMs: 150_000 },
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
