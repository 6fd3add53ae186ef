import assert from 'node:assert/strict'
import type { ResetResponse } from '../../../core/protocol/index.ts'
import { group } from '../check.ts'
import { stillServes } from '../expect.ts'

const check = group('reset', '§4', 'vm')

/** A reset that passed, with its proof. */
function passed(response: ResetResponse): ResetResponse & { wipe: NonNullable<ResetResponse['wipe']> } {
  assert.equal(response.verification_passed, true, JSON.stringify(response))
  assert.equal(response.error, undefined)
  assert.deepEqual(response.failed, [])
  assert.equal(response.fs_hash_measured, undefined, 'the baseline is the manifest')
  const { wipe } = response
  assert.ok(wipe, 'a reset that passed shows its proof')
  return { ...response, wipe }
}

const gone = (id: string, title: string, leave: string, look: string) =>
  check(id, title, async ({ vm }) => {
    await vm.sh(leave)
    assert.match((await vm.sh(look)).stdout, /left/, 'it is there before the reset')
    passed(await vm.reset())
    assert.doesNotMatch((await vm.sh(look)).stdout, /left/)
  })

export const resetChecks = [
  check('passes', 'a reset of an unused VM passes', async ({ vm }) => void passed(await vm.reset())),
  check('passes-used', 'a reset of a used VM passes', async ({ vm }) => {
    await vm.sh('echo x > /tmp/x')
    passed(await vm.reset())
  }),
  check('serves', 'after a reset the VM serves', async ({ vm }) => {
    passed(await vm.reset())
    await stillServes(vm)
  }),
  check('ten', 'ten resets in a row pass', async ({ vm }) => {
    for (let n = 0; n < 10; n += 1) passed(await vm.reset())
    await stillServes(vm)
  }),
  check('action', 'a reset that passed halts nothing', async ({ vm }) => {
    assert.equal(passed(await vm.reset()).divergence_action, 'none')
  }),
  check('fs', 'fs_hash is read and equals the rootfs digest of the manifest', async ({ vm, image }) => {
    const response = passed(await vm.reset())
    assert.equal(response.fs_hash, image.manifest.rootfs.digest)
    assert.equal(response.fs_hash_baseline, image.manifest.rootfs.digest)
    assert.equal(response.fs_hash_match, true)
  }),
  check('fd', 'open_fd_count is read and equals its baseline', async ({ vm }) => {
    const response = passed(await vm.reset())
    assert.ok((response.open_fd_count ?? 0) > 0)
    assert.equal(response.open_fd_count, response.open_fd_count_baseline)
  }),
  check('fd-stable', 'the baseline of open_fd_count is the same at every reset', async ({ vm }) => {
    const first = passed(await vm.reset())
    await vm.sh('true')
    assert.equal(passed(await vm.reset()).open_fd_count_baseline, first.open_fd_count_baseline)
  }),
  check('state', 'vmm_api_state is read and is running', async ({ vm }) => {
    const response = passed(await vm.reset())
    assert.equal(response.vmm_api_state, 'running')
    assert.equal(response.expected_vmm_api_state, 'running')
  }),
  check('golden-stable', 'golden_hash is the same at every reset', async ({ vm }) => {
    const first = passed(await vm.reset())
    assert.match(first.golden_hash ?? '', /^sha256:/)
    assert.equal(passed(await vm.reset()).golden_hash, first.golden_hash)
  }),
  check('epoch-rises', 'the epoch rises at every reset and is the epoch of the next exec', async ({ vm }) => {
    const first = passed(await vm.reset())
    const second = passed(await vm.reset())
    assert.ok(second.wipe.epoch > first.wipe.epoch)
    assert.equal((await vm.exec('echo', { text: 'x' })).epoch, second.wipe.epoch)
    assert.equal((await vm.status()).epoch, second.wipe.epoch)
  }),
  check('nonce', 'the wipe shows the golden nonce and no dispatch before it', async ({ vm }) => {
    await vm.sh('true')
    const { wipe } = passed(await vm.reset())
    assert.equal(wipe.nonce_match, true)
    assert.equal(wipe.dispatches, 0)
  }),
  check('overlay', 'the wipe shows the same overlay size whatever was written before', async ({ vm }) => {
    const first = passed(await vm.reset())
    await vm.sh('head -c 3000000 /dev/urandom > ~/big')
    assert.equal(passed(await vm.reset()).wipe.overlay_bytes, first.wipe.overlay_bytes)
  }),
  check('other-process', 'old and new VM are two', async ({ vm }) => {
    const { wipe } = passed(await vm.reset())
    assert.ok(wipe.old)
    assert.notEqual(wipe.old.id, wipe.new.id)
    assert.equal((await vm.status()).vm_id, wipe.new.id)
  }),
  check('old-ended', 'the wipe says how the old VM ended, and which it was', async ({ vm }) => {
    const before = (await vm.status()).vm_id
    const { wipe } = passed(await vm.reset())
    assert.equal(wipe.old?.id, before)
    assert.ok(wipe.old?.exit)
  }),
  check('phases', 'every phase is reported once with its time, in order', async ({ vm }) => {
    const { phases } = passed(await vm.reset())
    const names = phases.map(({ name }) => name)
    assert.deepEqual([...names].sort(), ['discard', 'load', 'reconnect', 'resume', 'verify', 'warmup'])
    assert.ok(phases.every(({ ms }) => ms >= 0))
  }),
  check(
    'ahead',
    'with a standby ready, load, reconnect and warm-up were done ahead; verification was not',
    async ({ vm }) => {
      await vm.standbyReady()
      const { phases } = passed(await vm.reset())
      const ahead = new Map(phases.map((phase) => [phase.name, phase.ahead]))
      assert.equal(ahead.get('load'), true)
      assert.equal(ahead.get('reconnect'), true)
      assert.equal(ahead.get('warmup'), true)
      assert.equal(ahead.get('discard'), false)
      assert.equal(ahead.get('verify'), false)
    },
  ),
  check('total', 'what was not done ahead adds up to no more than total_ms', async ({ vm }) => {
    // The second begins while its VM is still being prepared.
    for (const { phases, total_ms } of [passed(await vm.reset()), passed(await vm.reset())]) {
      const waited = phases.filter(({ ahead }) => !ahead).reduce((sum, { ms }) => sum + ms, 0)
      assert.ok(total_ms >= waited - 1, `${total_ms} against ${JSON.stringify(phases)}`)
    }
  }),
  check('round-trip', 'the time a standby was paused is no part of its round trip', async ({ vm }) => {
    await vm.standbyReady()
    await vm.sh('sleep 2')
    const began = performance.now()
    passed(await vm.reset())
    const { channels } = await vm.status()
    const elapsed = performance.now() - began
    for (const { port, rtt_ms } of channels)
      assert.ok(rtt_ms === null || rtt_ms <= Math.max(elapsed, 1_900), `port ${port}: ${rtt_ms} ms`)
  }),
  check('path', 'reset_path is fast_snapshot where that is supported', async ({ vm }) => {
    assert.equal(passed(await vm.reset()).reset_path, 'fast_snapshot')
  }),
  check('time', 'reset_at is now', async ({ vm }) => {
    const before = Date.now()
    const at = Date.parse(passed(await vm.reset()).reset_at)
    assert.ok(at >= before && at <= Date.now())
  }),
  check('without-standby', 'a reset without a ready standby passes too', async ({ vm }) => {
    passed(await vm.reset())
    passed(await vm.reset())
  }),
  check('two-at-once', 'two resets at once both get an answer, and the VM is fine', async ({ vm }) => {
    const answers = await Promise.all([vm.ask({ kind: 'reset' }, 60_000), vm.ask({ kind: 'reset' }, 60_000)])
    assert.ok(answers.some((answer) => answer.kind === 'reset_response' && answer.verification_passed))
    await stillServes(vm)
  }),
  gone('file', 'a file is gone after a reset', 'echo left > ~/trace', 'cat ~/trace 2>&1 | grep left; true'),
  gone('tmp', 'a file in /tmp is gone after a reset', 'echo left > /tmp/trace', 'cat /tmp/trace; true'),
  gone(
    'shm',
    'shared memory is gone after a reset',
    'echo left > /dev/shm/trace',
    'cat /dev/shm/trace; true',
  ),
  check('directory', 'a deleted file is back after a reset', async ({ vm }) => {
    const list = async () => (await vm.sh('ls -A ~ | sort; ls /tmp')).stdout
    passed(await vm.reset())
    const before = await list()
    await vm.sh('mkdir ~/d; touch ~/d/f; rm -rf ~/.??*')
    passed(await vm.reset())
    assert.equal(await list(), before)
  }),
  check('uuid', 'two restores draw different random numbers', async ({ vm }) => {
    const draw = async () => {
      passed(await vm.reset())
      return (await vm.exec('cat', { path: '/proc/sys/kernel/random/uuid' })).stdout
    }
    const draws = [await draw(), await draw(), await draw()]
    assert.equal(new Set(draws).size, 3)
  }),
  check('clock', 'the guest has the right time after a reset', async ({ vm }) => {
    passed(await vm.reset())
    const before = Math.floor(Date.now() / 1000)
    const guest = Number((await vm.sh('date +%s')).stdout)
    const after = Math.ceil(Date.now() / 1000)
    // The time is taken before it reaches the guest, which on a busy machine is late; unset it would be years off.
    assert.ok(guest >= before - 10 && guest <= after + 10, `${before} ≤ ${guest} ≤ ${after}`)
  }),
]
