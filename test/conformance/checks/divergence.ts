import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { ExecResponse } from '../../../core/protocol/index.ts'
import { corruptByte } from '../../support/corrupt.ts'
import { diskOf } from '../../support/disk.ts'
import { errorOf, type Helper } from '../../support/helper.ts'
import { copyImage, type GuestImage } from '../../support/image.ts'
import { group } from '../check.ts'
import type { Context } from '../context.ts'
import { sentence } from '../expect.ts'

const check = group('divergence', '§4', 'own-vm')

/** A helper whose rootfs is a copy that may be spoiled. */
async function onACopy(context: Context, socket?: string): Promise<{ helper: Helper; image: GuestImage }> {
  const scratch = await context.golden()
  const image = copyImage(context.image, scratch.path('image'))
  const helper = context.boot(scratch, socket === undefined ? {} : { socket }, image)
  await helper.ready()
  return { helper, image }
}

/** One byte of the disk that the VM has, size and times as before: only reading it tells. */
const spoil = (helper: Helper, image: GuestImage) =>
  corruptByte(diskOf(helper, image), Math.floor(image.manifest.rootfs.size * 0.75))

export const divergenceChecks = [
  check(
    'halts',
    'a root disk changed under the VM: the reset diverges and names the source',
    async (context) => {
      const { helper, image } = await onACopy(context)
      spoil(helper, image)
      const reset = await helper.reset()
      assert.equal(reset.error?.code, 'RESET_VERIFICATION_DIVERGENCE')
      sentence(reset.error?.message ?? '')
      assert.deepEqual(reset.failed, ['fs_hash'])
      assert.equal(reset.verification_passed, false)
      assert.equal(reset.divergence_action, 'halt')
      assert.notEqual(reset.fs_hash, reset.fs_hash_baseline)
      assert.equal(reset.fs_hash_match, false)
    },
  ),
  check(
    'degraded',
    'after a divergence everything that needs a VM is DEGRADED, the rest is answered',
    async (context) => {
      const { helper, image } = await onACopy(context)
      spoil(helper, image)
      await helper.reset()
      assert.equal((await helper.exec('echo', { text: 'x' })).error?.code, 'DEGRADED')
      assert.equal(errorOf(await helper.ask({ kind: 'reset' }))?.code, 'DEGRADED')
      const from_path = join(helper.scratch.stateDir, 'golden')
      assert.equal(errorOf(await helper.ask({ kind: 'restore_state', from_path }))?.code, 'DEGRADED')
      assert.equal((await helper.status()).last_reset?.verification_passed, false)
    },
  ),
  check('no-way-back', 'a divergence is not undone by putting the byte back', async (context) => {
    const { helper, image } = await onACopy(context)
    spoil(helper, image)
    await helper.reset()
    spoil(helper, image)
    assert.equal(errorOf(await helper.ask({ kind: 'reset' }))?.code, 'DEGRADED')
  }),
  check('exit', 'a helper that diverged ends with 68', async (context) => {
    const { helper, image } = await onACopy(context)
    spoil(helper, image)
    await helper.reset()
    helper.closeStdin()
    assert.equal((await helper.waitForExit()).code, 68)
  }),
  check('one-shot', 'a one-shot exec whose wipe diverged prints both and ends with 68', async (context) => {
    const socket = join(context.scratch().runtimeDir, 's')
    const { helper, image } = await onACopy(context, socket)
    const command = () => [
      ...['exec', '--command-id', randomUUID(), '--tool', 'echo'],
      ...['--params', '{"text":"hi"}', '--deadline-ms', '20000', '--socket', socket],
    ]
    const honest = await context.command(command(), helper.scratch)
    assert.equal(honest.code, 0, honest.stderr)
    assert.equal(ExecResponse.parse(JSON.parse(honest.stdout)).reset?.verification_passed, true)
    spoil(helper, image)
    const diverged = await context.command(command(), helper.scratch)
    const response = ExecResponse.parse(JSON.parse(diverged.stdout))
    assert.equal(response.stdout, 'hi\n')
    assert.equal(response.reset?.error?.code, 'RESET_VERIFICATION_DIVERGENCE')
    assert.equal(diverged.code, 68)
    sentence(diverged.stderr)
  }),
]
