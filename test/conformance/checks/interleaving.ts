import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import type { Helper } from '../../support/helper.ts'
import { group } from '../check.ts'
import { refused } from '../expect.ts'

const check = group('interleaving', '§2', 'vm')

/** While a slow command runs, does `meanwhile`; what it gives must have come first. */
async function duringExec(vm: Helper, meanwhile: () => Promise<{ index: number }>): Promise<void> {
  const run = vm.sh('sleep 1.5; echo done')
  await vm.status()
  const answer = await meanwhile()
  const result = await run
  assert.equal(result.stdout, 'done\n')
  assert.ok(answer.index < result.index, 'the answer waited for the exec')
}

export const interleavingChecks = [
  check('status', 'status is answered during a long exec', ({ vm }) => duringExec(vm, () => vm.status())),
  check('query', 'query is answered during a long exec', ({ vm }) =>
    duringExec(vm, () => vm.query('ProcessList')),
  ),
  check('verify', 'verify is answered during a long exec', async ({ vm, image }) => {
    await duringExec(vm, () =>
      vm.request('verify', {
        fs_hash_baseline: image.manifest.rootfs.digest,
        open_fd_count_baseline: 1,
        expected_vmm_api_state: 'running',
      }),
    )
  }),
  check('cancel-other', 'cancel of another command is answered during a long exec', ({ vm }) =>
    duringExec(vm, () => vm.request('cancel', { command_id: randomUUID() })),
  ),
  check('garbage', 'garbage is answered during a long exec', ({ vm }) =>
    duringExec(vm, () => {
      const after = vm.mark
      vm.raw('garbage\n')
      return vm.event('protocol_error', { after })
    }),
  ),
  check('refusal', 'a refusal is answered during a long exec', ({ vm }) =>
    duringExec(vm, () => vm.ask({ kind: 'frobnicate' })),
  ),
  check('busy', 'a second exec is BUSY and disturbs the first one in nothing', ({ vm }) =>
    duringExec(vm, async () => {
      const second = await vm.ask({
        kind: 'exec',
        command_id: randomUUID(),
        tool: 'echo',
        params: { text: 'x' },
        deadline_ms: 5_000,
      })
      refused(second, 'BUSY')
      return second
    }),
  ),
  check('hundred', 'a hundred queries in flight get a hundred answers', async ({ vm }) => {
    const answers = await Promise.all(Array.from({ length: 100 }, () => vm.query('MemUsage')))
    assert.deepEqual(
      answers.flatMap(({ error }) => error ?? []),
      [],
    )
    assert.ok(answers.every(({ result }) => result !== undefined))
  }),
  check('during-reset', 'status is answered during a reset', async ({ vm }) => {
    const after = vm.mark
    const reset = vm.reset()
    const status = await vm.status()
    assert.equal(status.kind, 'status_response')
    assert.equal((await reset).verification_passed, true)
    assert.ok(status.index > after)
  }),
  check(
    'exec-after-reset',
    'an exec sent right behind a reset runs in the new VM or is BUSY',
    async ({ vm }) => {
      const reset = vm.reset()
      const request = {
        kind: 'exec',
        command_id: randomUUID(),
        tool: 'echo',
        params: { text: 'x' },
        deadline_ms: 9_000,
      }
      const answer = await vm.ask(request)
      const { wipe } = await reset
      if (answer.kind === 'exec_response' && answer.error === undefined)
        assert.equal(answer.epoch, wipe?.epoch)
      else refused(answer, 'BUSY')
    },
  ),
]
