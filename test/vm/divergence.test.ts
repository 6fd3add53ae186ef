import { copyFileSync, renameSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ResetResponse } from '../../core/protocol/index.ts'
import type { Context } from '../conformance/context.ts'
import { corruptByte } from '../support/corrupt.ts'
import { until } from '../support/deadline.ts'
import { diskOf } from '../support/disk.ts'
import { errorOf, type Helper } from '../support/helper.ts'
import { copyImage } from '../support/image.ts'
import { LyingQemu } from '../support/lying-qemu.ts'
import { HELPERS } from '../support/helper-binary.ts'
import { VM_TEST_MS, useBench } from './bench.ts'

/** Each lie is caught at the next reset, by exactly the source that was lied to (wire-protocol §4). */
describe.each(HELPERS)('a lie to the %s helper is caught at the next reset', (which) => {
  const bench = useBench('test', which)
  let qemu: LyingQemu
  beforeAll(() => {
    qemu = new LyingQemu()
  })
  afterAll(() => qemu.remove())

  /** A helper on a QEMU that will lie, booted and with a standby. */
  async function own(context: Context): Promise<Helper> {
    qemu.relent()
    const helper = await context.own({ env: qemu.environment })
    await helper.standbyReady()
    return helper
  }

  /** A helper on an image of its own, and the file that its VM has as its disk: the image's, or a private clone of it. */
  async function ownDisk(context: Context, env: Record<string, string> = {}) {
    const scratch = await context.golden()
    const image = copyImage(context.image, scratch.path('image'))
    const helper = context.boot(scratch, { env }, image)
    await helper.ready()
    await helper.standbyReady()
    return { helper, image, disk: diskOf(helper, image) }
  }

  /** The reset halted because of `sources` alone, and nothing runs any more. */
  async function diverged(helper: Helper, reset: ResetResponse, ...sources: string[]): Promise<void> {
    expect(reset.failed).toEqual(sources)
    expect(reset.verification_passed).toBe(false)
    expect(reset.divergence_action).toBe('halt')
    expect(reset.error?.code).toBe('RESET_VERIFICATION_DIVERGENCE')
    await refusesEverything(helper)
  }

  async function refusesEverything(helper: Helper): Promise<void> {
    const exec = await helper.exec('echo', { text: 'x' }).catch((error: unknown) => String(error))
    expect(typeof exec === 'string' ? exec : exec.error?.code).toMatch(/DEGRADED/)
    const reset = await helper.ask({ kind: 'reset' })
    expect(errorOf(reset)?.code).toBe('DEGRADED')
    expect((await helper.status()).kind).toBe('status_response')
  }

  it(
    'an honest run with the same QEMU in between passes: the lies below are the difference',
    bench.own(async (context) => {
      const helper = await own(context)
      const reset = await helper.reset()
      expect(reset.failed).toEqual([])
      expect(reset.verification_passed).toBe(true)
    }),
    VM_TEST_MS,
  )

  it(
    'one byte of the rootfs changed from the host, its times put back: fs_hash',
    bench.own(async (context) => {
      const { helper, image, disk } = await ownDisk(context)
      corruptByte(disk, Math.floor(image.manifest.rootfs.size * 0.75))
      await diverged(helper, await helper.reset(), 'fs_hash')
    }),
    VM_TEST_MS,
  )

  it(
    'the rootfs replaced by an equal file under the same name: fs_hash',
    bench.own(async (context) => {
      const { helper, disk } = await ownDisk(context)
      const other = helper.scratch.path('other')
      copyFileSync(disk, other)
      renameSync(other, disk)
      await diverged(helper, await helper.reset(), 'fs_hash')
    }),
    VM_TEST_MS,
  )

  it(
    'a byte changed and put back between two resets goes unseen, as the documentation says',
    bench.own(async (context) => {
      const { helper, image, disk } = await ownDisk(context)
      const middle = Math.floor(image.manifest.rootfs.size * 0.75)
      corruptByte(disk, middle)
      corruptByte(disk, middle)
      expect((await helper.reset()).verification_passed).toBe(true)
    }),
    VM_TEST_MS,
  )

  it(
    'a descriptor planted in a standby after its baseline: open_fd_count',
    bench.own(async (context) => {
      const helper = await own(context)
      const planted = qemu.planted.length
      qemu.tell('plant')
      const clean = await helper.reset()
      expect(clean.verification_passed, 'the standby made before the plant is clean').toBe(true)
      await qemu.plantedMore(planted)
      await helper.standbyReady()
      const reset = await helper.reset()
      await diverged(helper, reset, 'open_fd_count')
      expect(reset.open_fd_count).toBe((reset.open_fd_count_baseline ?? 0) + 1)
    }),
    VM_TEST_MS,
  )

  // The framework keeps its own account of a machine's state: QEMU's lies do not reach a helper behind it.
  const ofQemu = (title: string, body: () => Promise<void>, ms: number) => {
    if (which === 'qemu') it(title, body, ms)
  }

  for (const state of ['paused', 'internal-error', 'shutdown'])
    ofQemu(
      `a hypervisor that says "${state}": vmm_api_state`,
      bench.own(async (context) => {
        const helper = await own(context)
        qemu.tell('lie', state)
        const reset = await helper.reset()
        await diverged(helper, reset, 'vmm_api_state')
        expect(reset.vmm_api_state).not.toBe('running')
      }),
      VM_TEST_MS,
    )

  ofQemu(
    'two lies at once: both sources are named',
    bench.own(async (context) => {
      qemu.relent()
      const { helper, disk } = await ownDisk(context, qemu.environment)
      corruptByte(disk, 4096)
      qemu.tell('lie', 'paused')
      const reset = await helper.reset()
      await diverged(helper, reset, 'fs_hash', 'vmm_api_state')
    }),
    VM_TEST_MS,
  )

  ofQemu(
    'a hypervisor that is silent is a timeout, not a lie: one retry, then degraded',
    bench.own(async (context) => {
      const helper = await own(context)
      qemu.tell('silent')
      const after = helper.mark
      const reset = await helper.request('reset', {}, 90_000)
      expect(reset.error?.code).toBe('RESET_VERIFICATION_TIMEOUT')
      // On a busy machine another source may be late beside it.
      expect(reset.failed).toContain('vmm_api_state')
      expect(reset.vmm_api_state).toBeNull()
      expect(reset.verification_passed).toBe(false)
      const verified = helper
        .events('reset_phase', after)
        .filter(({ phase }) => phase.name === 'verify' && !phase.ahead)
      expect(verified.length, 'it was tried twice').toBeGreaterThanOrEqual(2)
      await refusesEverything(helper)
    }),
    VM_TEST_MS,
  )

  ofQemu(
    'a hypervisor that is silent once costs a retry and no more',
    bench.own(async (context) => {
      const helper = await own(context)
      qemu.tell('silent')
      const after = helper.mark
      const reset = helper.request('reset', {}, 90_000)
      await helper.event('reset_phase', {
        after,
        ms: 30_000,
        where: ({ phase }) => phase.name === 'verify' && !phase.ahead,
      })
      qemu.relent('silent')
      expect((await reset).verification_passed).toBe(true)
      expect((await helper.exec('echo', { text: 'x' })).exit_code).toBe(0)
    }),
    VM_TEST_MS,
  )

  it(
    'a QEMU that no longer starts fails the reset with a sentence, and the helper with its code',
    bench.own(async (context) => {
      const helper = await own(context)
      qemu.tell('refuse')
      await helper.reset()
      const reset = await helper.ask({ kind: 'reset' }, 90_000)
      const error = errorOf(reset)
      expect(error?.code).toMatch(/RESET_FAILED|VM_LIFECYCLE_ERROR/)
      expect(error?.message).toMatch(/\s/)
      expect(error?.next_step).toBeTruthy()
      qemu.relent()
      await until(90_000, 'a reset that works again', async () => {
        const again = await helper.ask({ kind: 'reset' }, 60_000)
        return again.kind === 'reset_response' && again.verification_passed
      })
      expect((await helper.exec('echo', { text: 'back' })).exit_code).toBe(0)
    }),
    VM_TEST_MS,
  )

  it(
    'the helper ends with 68 once it has diverged and is shut down',
    bench.own(async (context) => {
      const { helper, disk } = await ownDisk(context)
      corruptByte(disk, 4096)
      await helper.reset()
      expect((await helper.shutdown()).code).toBe(68)
    }),
    VM_TEST_MS,
  )
})
