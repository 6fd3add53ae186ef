import assert from 'node:assert/strict'
import { EMPTY_SHA256, type VerifyResponse } from '../../../core/protocol/index.ts'
import type { Helper } from '../../support/helper.ts'
import { group } from '../check.ts'
import { errorOf } from '../../support/helper.ts'

const check = group('verify', '§4', 'vm')

/** The right baselines, as a reset just found them. */
async function baselines(vm: Helper) {
  const { fs_hash, open_fd_count } = await vm.reset()
  assert.ok(fs_hash && open_fd_count)
  return {
    fs_hash_baseline: fs_hash,
    open_fd_count_baseline: open_fd_count,
    expected_vmm_api_state: 'running' as const,
  }
}

/** A source that disagrees with the caller's baseline: the eight fields say so, and the error names it. */
function halts(response: VerifyResponse): void {
  assert.equal(response.divergence_action, 'halt')
  assert.equal(response.error?.code, 'RESET_VERIFICATION_DIVERGENCE')
}

const other = `sha256:${'ab'.repeat(32)}`

export const verifyChecks = [
  check('match', 'the right baselines match', async ({ vm }) => {
    const given = await baselines(vm)
    const response = await vm.request('verify', given)
    assert.equal(response.fs_hash_match, true)
    assert.equal(response.open_fd_count, given.open_fd_count_baseline)
    assert.equal(response.vmm_api_state, 'running')
    assert.equal(response.divergence_action, 'none')
    assert.equal(response.error, undefined)
  }),
  check('echoes', 'the baselines given are repeated', async ({ vm }) => {
    const response = await vm.request('verify', {
      fs_hash_baseline: other,
      open_fd_count_baseline: 12345,
      expected_vmm_api_state: 'paused',
    })
    assert.equal(response.fs_hash_baseline, other)
    assert.equal(response.open_fd_count_baseline, 12345)
    assert.equal(response.expected_vmm_api_state, 'paused')
  }),
  check('wrong-fs', 'another file system hash halts', async ({ vm, image }) => {
    const response = await vm.request('verify', { ...(await baselines(vm)), fs_hash_baseline: other })
    assert.equal(response.fs_hash_match, false)
    assert.equal(response.fs_hash, image.manifest.rootfs.digest)
    halts(response)
  }),
  check('wrong-fd', 'another descriptor count halts', async ({ vm }) => {
    const given = await baselines(vm)
    const response = await vm.request('verify', {
      ...given,
      open_fd_count_baseline: given.open_fd_count_baseline + 1,
    })
    assert.equal(response.open_fd_count, given.open_fd_count_baseline)
    halts(response)
  }),
  check('wrong-state', 'another state of the VM halts', async ({ vm }) => {
    const response = await vm.request('verify', {
      ...(await baselines(vm)),
      expected_vmm_api_state: 'paused',
    })
    assert.equal(response.vmm_api_state, 'running')
    halts(response)
  }),
  check('all-wrong', 'three wrong baselines halt, each with what was read', async ({ vm, image }) => {
    const response = await vm.request('verify', {
      fs_hash_baseline: other,
      open_fd_count_baseline: 99999,
      expected_vmm_api_state: 'stopped',
    })
    halts(response)
    assert.equal(response.fs_hash, image.manifest.rootfs.digest)
    assert.equal(response.vmm_api_state, 'running')
    assert.ok((response.open_fd_count ?? 0) > 0)
  }),
  check('not-degraded', 'a verify with wrong baselines does not degrade the helper', async ({ vm }) => {
    await vm.request('verify', { ...(await baselines(vm)), fs_hash_baseline: other })
    assert.equal((await vm.exec('echo', { text: 'x' })).exit_code, 0)
    assert.equal((await vm.reset()).verification_passed, true)
  }),
  check('empty-hash', 'the hash of nothing is refused as a baseline', async ({ vm }) => {
    const response = await vm.ask({
      kind: 'verify',
      ...(await baselines(vm)),
      fs_hash_baseline: EMPTY_SHA256,
    })
    assert.equal(errorOf(response)?.code, 'BAD_REQUEST')
  }),
  check('bad-hash', 'a baseline that is no digest is refused', async ({ vm }) => {
    const response = await vm.ask({
      kind: 'verify',
      ...(await baselines(vm)),
      fs_hash_baseline: 'sha256:xyz',
    })
    assert.equal(errorOf(response)?.code, 'BAD_REQUEST')
  }),
  check('negative-fd', 'a negative descriptor baseline is refused', async ({ vm }) => {
    const response = await vm.ask({ kind: 'verify', ...(await baselines(vm)), open_fd_count_baseline: -1 })
    assert.equal(errorOf(response)?.code, 'BAD_REQUEST')
  }),
  check('bad-state', 'an expected state outside the four is refused', async ({ vm }) => {
    const response = await vm.ask({
      kind: 'verify',
      ...(await baselines(vm)),
      expected_vmm_api_state: 'fine',
    })
    assert.equal(errorOf(response)?.code, 'BAD_REQUEST')
  }),
  check('sees-descriptors', 'descriptors that a tool holds open are counted', async ({ vm }) => {
    const given = await baselines(vm)
    const after = vm.mark
    const run = vm.sh('exec 7</etc/passwd 8</etc/passwd 9</etc/passwd; echo open; sleep 3')
    await vm.event('exec_output', { after })
    const response = await vm.request('verify', given)
    assert.ok((response.open_fd_count ?? 0) >= given.open_fd_count_baseline + 3, `${response.open_fd_count}`)
    halts(response)
    await run
  }),
]
