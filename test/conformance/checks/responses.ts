import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { until } from '../../support/deadline.ts'
import { group } from '../check.ts'
import { REQUIRED, hasKeys } from '../expect.ts'

/** Every response kind with every field; that all values fit the schemas is checked on every line anyway. */
const check = group('responses', '§2', 'vm')

export const responseChecks = [
  check('exec', 'exec_response has the fields of the public contract', async ({ vm }) => {
    hasKeys(await vm.exec('echo', { text: 'x' }), ...REQUIRED.exec_response)
  }),
  check('exec-ours', 'exec_response has our fields', async ({ vm }) => {
    hasKeys(await vm.exec('echo', { text: 'x' }), ...REQUIRED.exec_response_ours)
  }),
  check('exec-echoes-id', 'exec_response repeats the command_id', async ({ vm }) => {
    const command_id = randomUUID()
    assert.equal((await vm.exec('echo', { text: 'x' }, { command_id })).command_id, command_id)
  }),
  check('exec-evidence', 'evidence_hash is a SHA-256 with its prefix', async ({ vm }) => {
    assert.match((await vm.exec('echo', { text: 'x' })).evidence_hash ?? '', /^sha256:[0-9a-f]{64}$/)
  }),
  check('exec-no-error', 'a good exec_response carries no error', async ({ vm }) => {
    assert.equal((await vm.exec('echo', { text: 'x' })).error, undefined)
  }),
  check('exec-failed-tool', 'a tool that fails is no error of the sandbox', async ({ vm }) => {
    const response = await vm.sh('exit 3')
    assert.equal(response.exit_code, 3)
    assert.equal(response.error, undefined)
  }),
  check(
    'exec-duration',
    'duration_ms is at least what the tool slept and below the deadline',
    async ({ vm }) => {
      const { duration_ms } = await vm.sh('sleep 0.3')
      assert.ok((duration_ms ?? 0) >= 250 && (duration_ms ?? 0) < 30_000, `${duration_ms}`)
    },
  ),
  check('reset', 'reset_response has the fields of the public contract', async ({ vm }) => {
    hasKeys(await vm.reset(), ...REQUIRED.reset_response, ...REQUIRED.eight)
  }),
  check('reset-ours', 'reset_response has phases, wipe, failed and total_ms', async ({ vm }) => {
    const response = await vm.reset()
    hasKeys(response, ...REQUIRED.reset_response_ours)
    hasKeys(response.wipe, ...REQUIRED.wipe)
  }),
  check('verify', 'verify_response has the eight fields', async ({ vm }) => {
    const { fs_hash_baseline, open_fd_count_baseline } = await vm.reset()
    hasKeys(
      await vm.request('verify', {
        fs_hash_baseline: fs_hash_baseline ?? '',
        open_fd_count_baseline: open_fd_count_baseline ?? 0,
        expected_vmm_api_state: 'running',
      }),
      ...REQUIRED.verify_response,
      ...REQUIRED.eight,
    )
  }),
  check('query', 'query_response has kind and result', async ({ vm }) => {
    hasKeys(await vm.query('MemUsage'), ...REQUIRED.query_response)
  }),
  check('cancel', 'cancel_response says that nothing was cancelled', async ({ vm }) => {
    const response = await vm.request('cancel', { command_id: randomUUID() })
    hasKeys(response, ...REQUIRED.cancel_response)
    assert.equal(response.cancelled, false)
  }),
  check('status', 'status_response has every field', async ({ vm }) => {
    hasKeys(await vm.status(), ...REQUIRED.status_response)
  }),
  check('status-channels', 'status reports the four channels, each with its counters', async ({ vm }) => {
    await vm.exec('echo', { text: 'x' })
    await vm.query('OpenFdCount')
    const { channels } = await vm.status()
    assert.deepEqual(
      channels.map((channel) => channel.port),
      [1024, 1025, 1026, 1027],
    )
    for (const channel of channels) {
      hasKeys(channel, ...REQUIRED.channel)
      // One late Pong on a busy machine is a stall, and shown as one.
      assert.match(channel.state, /^(open|stalled)$/)
      assert.ok(channel.bytes_in > 0 && channel.frames_in > 0, `port ${channel.port} received nothing`)
    }
  }),
  check('status-counts', 'a dispatch moves the counters of ports 1024 and 1025', async ({ vm }) => {
    const count = async () => {
      const { channels } = await vm.status()
      return channels.map(({ frames_in }) => frames_in)
    }
    const before = await count()
    await vm.exec('echo', { text: 'x' })
    const after = await count()
    assert.ok((after[0] ?? 0) > (before[0] ?? 0), 'port 1024')
    assert.ok((after[1] ?? 0) >= (before[1] ?? 0) + 2, 'port 1025: dispatch record and terminal at least')
  }),
  check('status-image', 'status names the image of the manifest', async ({ vm, image }) => {
    const status = await vm.status()
    assert.equal(status.image?.image_digest, image.manifest.image_digest)
    assert.equal(status.image?.rootfs_digest, image.manifest.rootfs.digest)
    assert.equal(status.image?.recipe, image.manifest.recipe)
  }),
  check('status-vm', 'status names the process of the VM and its memory', async ({ vm }) => {
    const status = await vm.status()
    assert.ok(status.vm_id)
    assert.ok((status.host_rss_bytes ?? 0) > 1024 * 1024)
  }),
  check('status-last-reset', 'status keeps the last reset with its phases', async ({ vm }) => {
    const reset = await vm.reset()
    const { last_reset } = await vm.status()
    assert.equal(last_reset?.reset_at, reset.reset_at)
    assert.deepEqual(last_reset?.phases, reset.phases)
  }),
  check('status-exec', 'status names the running command', async ({ vm }) => {
    const command_id = randomUUID()
    const run = vm.sh('sleep 1', { command_id })
    const status = await vm.status()
    assert.equal(status.exec?.command_id, command_id)
    assert.equal(status.exec?.tool, 'sh')
    assert.equal(status.state, 'dispatching')
    await run
    const later = await vm.status()
    assert.equal(later.exec, null)
    assert.equal(later.state, 'ready')
  }),
  check('status-golden', 'status names the golden snapshot that resets come from', async ({ vm }) => {
    const { golden_hash } = await vm.reset()
    assert.equal((await vm.status()).golden?.golden_hash, golden_hash)
  }),
  check('heartbeat', 'the guest reports memory, processes and load by itself', async ({ vm }) => {
    const seen = await until(30_000, 'a heartbeat in status', async () => (await vm.status()).guest)
    assert.ok(seen.bytes_total > 0 && seen.bytes_used > 0 && seen.processes > 0)
  }),
  check('event-fields', 'every event has kind, event and ts', async ({ vm }) => {
    await vm.exec('echo', { text: 'x' })
    await vm.reset()
    const events = vm.received.filter(({ message }) => message.kind === 'event')
    assert.ok(events.length > 0)
    for (const { value } of events) hasKeys(value, ...REQUIRED.event)
  }),
  check('standby-event', 'standby_changed tells when the next standby is ready', async ({ vm }) => {
    await vm.standbyReady()
    const after = vm.mark
    await vm.reset()
    await vm.event('standby_changed', { after, where: (one) => one.standby.state === 'ready', ms: 60_000 })
    assert.equal((await vm.status()).standby.state, 'ready')
  }),
  check('reset-events', 'reset_phase events name the phases of the response', async ({ vm }) => {
    await vm.standbyReady()
    // The second waits for a standby on its way, of which some phases are its own.
    for (const standby of ['ready', 'on its way']) {
      const after = vm.mark
      const { phases } = await vm.reset()
      const seen = new Set(vm.events('reset_phase', after).map(({ phase }) => phase.name))
      for (const { name, ahead } of phases)
        if (!ahead) assert.ok(seen.has(name), `no event for ${name}, with a standby ${standby}`)
    }
  }),
]
