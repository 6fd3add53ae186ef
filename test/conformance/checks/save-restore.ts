import assert from 'node:assert/strict'
import { existsSync, lstatSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { corruptByte } from '../../support/corrupt.ts'
import { errorOf, type Helper } from '../../support/helper.ts'
import { group } from '../check.ts'
import { REQUIRED, hasKeys, refused, sentence, stillServes } from '../expect.ts'

const check = group('save-restore', '§4', 'own-vm')

/** Files of a saved state with their sizes; a saved state may be one file or a directory. */
function files(path: string): { path: string; size: number }[] {
  if (!lstatSync(path).isDirectory()) return [{ path, size: statSync(path).size }]
  return readdirSync(path).flatMap((name) => files(join(path, name)))
}

async function saved(helper: Helper): Promise<string> {
  const out_path = helper.scratch.path('saved')
  const response = await helper.request('save_state', { out_path }, 60_000)
  assert.equal(response.ok, true, JSON.stringify(response.error))
  return out_path
}

export const saveRestoreChecks = [
  check('round-trip', 'a saved VM is restored and serves', async (context) => {
    const helper = await context.own()
    const from_path = await saved(helper)
    const response = await helper.request('restore_state', { from_path }, 60_000)
    hasKeys(response, ...REQUIRED.restore_state_response)
    assert.equal(response.ok, true, JSON.stringify(response.error))
    assert.equal(response.vmm_api_state, 'running')
    await stillServes(helper)
  }),
  check('fields', 'save_state_response has its fields and counts the bytes written', async (context) => {
    const helper = await context.own()
    const out_path = helper.scratch.path('saved')
    const response = await helper.request('save_state', { out_path }, 60_000)
    hasKeys(response, ...REQUIRED.save_state_response)
    assert.equal(response.out_path, out_path)
    const size = files(out_path).reduce((sum, file) => sum + file.size, 0)
    assert.ok(
      (response.bytes_written ?? 0) > 0 && (response.bytes_written ?? 0) <= size,
      `${response.bytes_written} of ${size}`,
    )
  }),
  check('private', 'a saved state is readable by its owner alone', async (context) => {
    const path = await saved(await context.own())
    assert.equal(lstatSync(path).mode & 0o077, 0)
  }),
  check('serves-after-save', 'the VM serves after a save', async (context) => {
    const helper = await context.own()
    await saved(helper)
    await stillServes(helper)
    assert.equal((await helper.reset()).verification_passed, true)
  }),
  check('existing', 'an out_path that exists is refused and left as it is', async (context) => {
    const helper = await context.own()
    const out_path = helper.scratch.path('precious')
    writeFileSync(out_path, 'precious')
    const response = await helper.ask({ kind: 'save_state', out_path }, 60_000)
    assert.ok(errorOf(response))
    sentence(errorOf(response)?.message ?? '')
    assert.equal(statSync(out_path).size, 8)
    await stillServes(helper)
  }),
  check(
    'existing-directory',
    'an out_path that is a directory is refused and stays empty',
    async (context) => {
      const helper = await context.own()
      const out_path = helper.scratch.path('folder')
      mkdirSync(out_path)
      assert.ok(errorOf(await helper.ask({ kind: 'save_state', out_path }, 60_000)))
      assert.deepEqual(readdirSync(out_path), [])
    },
  ),
  check(
    'nowhere',
    'an out_path in no directory fails with a sentence and leaves nothing',
    async (context) => {
      const helper = await context.own()
      const response = await helper.ask({ kind: 'save_state', out_path: '/no/such/place/saved' }, 60_000)
      sentence(errorOf(response)?.message ?? '')
      assert.equal(existsSync('/no/such'), false)
      await stillServes(helper)
    },
  ),
  check('relative', 'a relative path is refused both ways', async (context) => {
    const helper = await context.own()
    refused(await helper.ask({ kind: 'save_state', out_path: 'saved' }), 'BAD_REQUEST')
    refused(await helper.ask({ kind: 'restore_state', from_path: 'saved' }), 'BAD_REQUEST')
  }),
  check('missing', 'a restore from nothing fails with a sentence, and the VM serves on', async (context) => {
    const helper = await context.own()
    const response = await helper.ask({ kind: 'restore_state', from_path: helper.scratch.path('none') })
    sentence(errorOf(response)?.message ?? '')
    await stillServes(helper)
  }),
  check('no-state', 'a restore from something else fails, and the VM serves on', async (context) => {
    const helper = await context.own()
    const from_path = helper.scratch.path('notes')
    mkdirSync(from_path)
    writeFileSync(join(from_path, 'manifest.json'), '{"hello":"world"}')
    const error = errorOf(await helper.ask({ kind: 'restore_state', from_path }))
    assert.ok(
      error && ['SNAPSHOT_CORRUPT', 'SNAPSHOT_INCOMPATIBLE'].includes(error.code),
      JSON.stringify(error),
    )
    await stillServes(helper)
  }),
  check(
    'tampered',
    'a byte changed in any file of a saved state is SNAPSHOT_CORRUPT, and the VM serves on',
    async (context) => {
      const helper = await context.own()
      const from_path = await saved(helper)
      for (const { path, size } of files(from_path)) {
        corruptByte(path, Math.floor(size / 2))
        const error = errorOf(await helper.ask({ kind: 'restore_state', from_path }, 60_000))
        // Baselines need not be believed: they may be measured anew. Everything else is the VM itself.
        if (error !== undefined || !/baseline/.test(path))
          assert.equal(error?.code, 'SNAPSHOT_CORRUPT', `${path}: ${JSON.stringify(error)}`)
        corruptByte(path, Math.floor(size / 2))
      }
      assert.equal((await helper.request('restore_state', { from_path }, 60_000)).ok, true)
      await stillServes(helper)
    },
  ),
  check(
    'other-memory',
    'a saved state of a VM with another memory size is SNAPSHOT_INCOMPATIBLE, and the VM serves on',
    async (context) => {
      // One place for both: a state signed with another's key would be refused for that.
      const scratch = context.scratch()
      const larger = context.boot(scratch, { memoryMib: 320 })
      await larger.ready()
      const from_path = await saved(larger)
      await larger.shutdown()
      const helper = context.boot(scratch)
      await helper.ready()
      refused(await helper.ask({ kind: 'restore_state', from_path }, 60_000), 'SNAPSHOT_INCOMPATIBLE')
      await stillServes(helper)
    },
  ),
  check('boot-saved', 'boot --saved-state starts from a saved state', async (context) => {
    const helper = await context.own()
    const path = await saved(helper)
    await helper.shutdown()
    const second = context.boot(helper.scratch, { extra: ['--saved-state', path] })
    const result = await second.ready()
    assert.equal(result.boot_path, 'fast_snapshot')
    await stillServes(second)
  }),
  check('while-exec', 'a save during an exec does not disturb it', async (context) => {
    const helper = await context.own()
    const run = helper.sh('sleep 1.5; echo done')
    await helper.status()
    const save = await helper.ask({ kind: 'save_state', out_path: helper.scratch.path('saved') }, 60_000)
    if (errorOf(save)) refused(save, 'BUSY')
    assert.equal((await run).stdout, 'done\n')
  }),
]
