import type { ResetReport, SandboxResetState, VerificationDetails } from '../../core/protocol/index.ts'
import { escapeLine } from './escape.ts'
import { duration, shortDigest } from './units.ts'

/** One line for the three sources of a verification (protocol §4). */
export function sources(details: VerificationDetails): string {
  return [fsHash(details), openFdCount(details), vmmApiState(details)].join(' · ')
}

function fsHash(details: VerificationDetails): string {
  if (details.fs_hash === null || details.fs_hash_match === null) return 'fs_hash silent ✗'
  if (details.fs_hash_match) return `fs_hash ${shortDigest(details.fs_hash)} ✓`
  return `fs_hash ${shortDigest(details.fs_hash)}, expected ${shortDigest(details.fs_hash_baseline)} ✗`
}

function openFdCount({
  open_fd_count: count,
  open_fd_count_baseline: baseline,
}: VerificationDetails): string {
  if (count === null || baseline === null) return 'open_fd_count silent ✗'
  return count === baseline ? `open_fd_count ${count} ✓` : `open_fd_count ${count}, expected ${baseline} ✗`
}

function vmmApiState({
  vmm_api_state: state,
  expected_vmm_api_state: expected,
}: VerificationDetails): string {
  if (state === null) return 'vmm_api_state silent ✗'
  return state === expected ? `vmm_api_state ${state} ✓` : `vmm_api_state ${state}, expected ${expected} ✗`
}

/** True when no source disagrees or is silent. */
export function sourcesAgree(details: VerificationDetails): boolean {
  return (
    details.fs_hash_match === true &&
    details.open_fd_count !== null &&
    details.open_fd_count === details.open_fd_count_baseline &&
    details.vmm_api_state === details.expected_vmm_api_state &&
    details.divergence_action === 'none'
  )
}

/** The one-line verdict of the reset that followed a dispatch. */
export function resetVerdict(state: SandboxResetState): string {
  const ms = duration(state.reset_ms)
  if (state.verification_passed)
    return `reset: wiped and verified in ${ms} · ${sources(state.verification_details)}`
  const why = state.error === undefined ? '' : ` · ${escapeLine(state.error.message)} (${state.error.code})`
  return `reset: NOT VERIFIED after ${ms} · ${sources(state.verification_details)}${why}`
}

/** What a reset did and found, in lines. */
export function resetLines(report: ResetReport): string[] {
  const verdict = report.verification_passed ? 'wiped and verified' : 'NOT VERIFIED'
  return [
    `${verdict} in ${duration(report.total_ms)} (${report.reset_path})`,
    sources(report),
    ...(report.wipe === null ? [] : [wipe(report.wipe)]),
    ...(report.phases.length === 0 ? [] : [phases(report.phases)]),
    ...(report.failed.length === 0 ? [] : [`failed: ${report.failed.join(', ')}`]),
    ...(report.error === undefined ? [] : [`${escapeLine(report.error.message)} (${report.error.code})`]),
  ]
}

function wipe({
  old,
  new: fresh,
  epoch,
  nonce_match: nonce,
  dispatches,
}: NonNullable<ResetReport['wipe']>): string {
  const gone = old === null ? 'no VM before' : `${escapeLine(old.id)} gone (${escapeLine(old.exit)})`
  const used = dispatches === null ? 'dispatches unknown' : `${dispatches} dispatches`
  return `wipe: ${gone} → ${escapeLine(fresh.id)}, epoch ${epoch}, ${used}, nonce ${nonce ? '✓' : '✗'}`
}

function phases(list: ResetReport['phases']): string {
  const shown = list.map(({ name, ms, ahead }) => `${name} ${duration(ms)}${ahead ? '*' : ''}`).join(' · ')
  return list.some((phase) => phase.ahead) ? `${shown}   (* done ahead, in the standby)` : shown
}
