import assert from 'node:assert/strict'
import type { ErrorCode, HelperResponse } from '../../core/protocol/index.ts'
import { errorOf, type Helper } from '../support/helper.ts'

/**
 * Required keys by response kind, written down from wire-protocol §2 by hand: were they taken from
 * the schemas, a field lost there would be missed here too.
 */
export const REQUIRED = {
  preflight: ['ok', 'macos_version', 'arch', 'fast_snapshot_supported', 'entitlement_present'],
  preflight_ours: ['backend', 'accelerator', 'host_os', 'rejections', 'warnings'],
  boot_result: ['kind', 'ok', 'vmm_api_state', 'boot_path', 'ts'],
  exec_response: ['kind', 'request_id', 'command_id', 'exit_code', 'stdout', 'stderr', 'evidence_hash'],
  exec_response_ours: [
    ...['epoch', 'duration_ms', 'truncated', 'stdout_bytes', 'stderr_bytes'],
    ...['encoding', 'evidence_path'],
  ],
  eight: [
    ...['fs_hash', 'fs_hash_baseline', 'fs_hash_match', 'open_fd_count', 'open_fd_count_baseline'],
    ...['vmm_api_state', 'expected_vmm_api_state', 'divergence_action'],
  ],
  reset_response: ['kind', 'request_id', 'reset_at', 'golden_hash', 'verification_passed', 'reset_path'],
  reset_response_ours: ['phases', 'wipe', 'failed', 'total_ms'],
  wipe: ['old', 'new', 'epoch', 'nonce_match', 'dispatches', 'overlay_bytes'],
  save_state_response: ['kind', 'request_id', 'ok', 'out_path'],
  restore_state_response: ['kind', 'request_id', 'ok', 'vmm_api_state'],
  verify_response: ['kind', 'request_id'],
  shutdown_response: ['kind', 'request_id', 'ok'],
  status_response: [
    ...['kind', 'request_id', 'state', 'backend', 'accelerator', 'vmm_api_state', 'boot_path', 'boot_ms'],
    ...['booted_at', 'cpus', 'memory_mib', 'vm_id', 'host_rss_bytes', 'epoch', 'image', 'guest', 'channels'],
    ...['last_reset', 'golden', 'standby', 'exec'],
  ],
  channel: [
    ...['port', 'state', 'rtt_ms', 'bytes_in', 'bytes_out', 'frames_in', 'frames_out', 'reconnects'],
    'last_error',
  ],
  query_response: ['kind', 'request_id', 'query_kind', 'result'],
  cancel_response: ['kind', 'request_id', 'command_id', 'cancelled'],
  event: ['kind', 'event', 'ts'],
} as const

export function hasKeys(value: unknown, ...keys: readonly string[]): void {
  assert.ok(typeof value === 'object' && value !== null, 'is an object')
  const missing = keys.filter((key) => !(key in value))
  assert.deepEqual(missing, [], `fields missing from ${JSON.stringify(value).slice(0, 400)}`)
}

/** The response refuses with this code and a sentence; nothing ran. */
export function refused(response: HelperResponse, ...codes: ErrorCode[]): void {
  const error = errorOf(response)
  assert.ok(error, `not refused: ${JSON.stringify(response).slice(0, 400)}`)
  assert.ok(
    codes.includes(error.code),
    `code ${error.code} (${error.message}), expected ${codes.join(' or ')}`,
  )
  sentence(error.message)
}

/** Words for a person, not a stack or an empty string. */
export function sentence(text: string): void {
  assert.ok(text.length >= 8 && /\s/.test(text), `not a sentence: ${JSON.stringify(text)}`)
  assert.doesNotMatch(text, /\n\s+at |\[object /, 'a stack is not a sentence')
}

/** The helper still serves: it answers, and it can run a tool. */
export async function stillServes(vm: Helper): Promise<void> {
  const status = await vm.status()
  assert.equal(status.vmm_api_state, 'running')
  const echoed = await vm.exec('echo', { text: 'still here' })
  assert.equal(echoed.exit_code, 0, JSON.stringify(echoed.error))
}
