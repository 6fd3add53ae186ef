import { beforeEach, describe, expect, it } from 'vitest'
import { IntegrityMonitor } from './integrity.ts'
import { EMPTY_SHA256, type ResetReport, type WireError, type WipeProof } from './protocol/index.ts'

const digest = (char: string): string => `sha256:${char.repeat(64)}`
const ROOTFS = digest('a')

const WIPE: WipeProof = {
  old: { id: 'vm-1', exit: 'SIGKILL' },
  new: { id: 'vm-2' },
  epoch: 7,
  nonce_match: true,
  dispatches: 0,
  overlay_bytes: 0,
}
const PASSED: ResetReport = {
  fs_hash: ROOTFS,
  fs_hash_baseline: ROOTFS,
  fs_hash_match: true,
  open_fd_count: 19,
  open_fd_count_baseline: 19,
  vmm_api_state: 'running',
  expected_vmm_api_state: 'running',
  divergence_action: 'none',
  reset_at: '2026-01-01T00:00:00Z',
  golden_hash: digest('b'),
  verification_passed: true,
  reset_path: 'fast_snapshot',
  phases: [],
  total_ms: 1,
  wipe: WIPE,
  failed: [],
}
const failing = (code: WireError['code'], patch: Partial<ResetReport> = {}): ResetReport => ({
  ...PASSED,
  ...patch,
  verification_passed: false,
  error: { code, message: 'It said so' },
})

let monitor: IntegrityMonitor
beforeEach(() => {
  monitor = new IntegrityMonitor()
  monitor.begin(ROOTFS)
})

describe('a reset that the helper calls passed', () => {
  it('passes when every source and the wipe agree with what the app knows', () => {
    expect(monitor.judge(PASSED)).toEqual({ kind: 'passed' })
    expect(monitor.baselines).toEqual({
      fs_hash_baseline: ROOTFS,
      open_fd_count_baseline: 19,
      expected_vmm_api_state: 'running',
    })
  })

  it.each<[string, Partial<ResetReport>, string]>([
    [
      'a disk that is not the manifest’s, in both fields',
      { fs_hash: digest('9'), fs_hash_baseline: digest('9') },
      'fs_hash',
    ],
    ['a disk that differs from its baseline', { fs_hash: digest('9') }, 'fs_hash'],
    ['a disk that it does not call matching', { fs_hash_match: false }, 'fs_hash'],
    ['the hash of nothing', { fs_hash: EMPTY_SHA256, fs_hash_baseline: EMPTY_SHA256 }, 'fs_hash'],
    ['a disk that was not read', { fs_hash: null }, 'fs_hash'],
    ['one descriptor more', { open_fd_count: 20 }, 'open_fd_count'],
    ['descriptors that were not counted', { open_fd_count: null }, 'open_fd_count'],
    ['descriptors without a baseline', { open_fd_count_baseline: null }, 'open_fd_count'],
    ['a hypervisor that says paused', { vmm_api_state: 'paused' }, 'vmm_api_state'],
    [
      'another state, as expected',
      { vmm_api_state: 'stopped', expected_vmm_api_state: 'stopped' },
      'vmm_api_state',
    ],
    ['a hypervisor that was not asked', { vmm_api_state: null }, 'vmm_api_state'],
    ['no proof of the wipe', { wipe: null }, 'wipe'],
    ['the same VM as before', { wipe: { ...WIPE, new: { id: 'vm-1' } } }, 'wipe'],
    ['no end of the old VM', { wipe: { ...WIPE, old: null } }, 'wipe'],
    ['another nonce', { wipe: { ...WIPE, nonce_match: false } }, 'wipe'],
    ['a VM in which something ran', { wipe: { ...WIPE, dispatches: 1 } }, 'wipe'],
    ['a VM that did not say', { wipe: { ...WIPE, dispatches: null, overlay_bytes: null } }, 'wipe'],
    ['its own error', { divergence_action: 'halt' }, ''],
  ])('has diverged with %s', (_name, patch, source) => {
    const verdict = monitor.judge({ ...PASSED, ...patch })
    expect(verdict).toMatchObject({ kind: 'diverged', sources: source === '' ? [] : [source] })
  })

  it('has diverged in an epoch that was there before', () => {
    monitor.judge(PASSED)
    expect(monitor.judge(PASSED)).toMatchObject({ kind: 'diverged', sources: ['wipe'] })
    expect(monitor.judge({ ...PASSED, wipe: { ...WIPE, epoch: 6 } })).toMatchObject({ kind: 'diverged' })
    monitor.begin(ROOTFS)
    expect(monitor.judge(PASSED), 'also for the next helper').toMatchObject({ kind: 'diverged' })
    expect(monitor.judge({ ...PASSED, wipe: { ...WIPE, epoch: 8 } })).toEqual({ kind: 'passed' })
  })

  it('has diverged when the baseline of the same snapshot moved along', () => {
    monitor.judge(PASSED)
    const later = { ...PASSED, wipe: { ...WIPE, epoch: 8 }, open_fd_count: 20, open_fd_count_baseline: 20 }
    expect(monitor.judge(later)).toMatchObject({ kind: 'diverged', sources: ['open_fd_count'] })
    expect(monitor.judge({ ...later, golden_hash: digest('c') })).toEqual({ kind: 'passed' })
  })
})

describe('a baseline that was told before the first reset', () => {
  const GOLDEN_HASH = digest('b')

  it('is what a verification compares with', () => {
    expect(monitor.baselines).toBeNull()
    monitor.learnBaseline(GOLDEN_HASH, 19)
    expect(monitor.baselines?.open_fd_count_baseline).toBe(19)
  })

  it('binds the resets that follow', () => {
    monitor.learnBaseline(GOLDEN_HASH, 20)
    expect(monitor.judge(PASSED)).toMatchObject({ kind: 'diverged', sources: ['open_fd_count'] })
  })

  it('replaces nothing that a reset told', () => {
    monitor.judge(PASSED)
    monitor.learnBaseline(GOLDEN_HASH, 20)
    expect(monitor.baselines?.open_fd_count_baseline).toBe(19)
  })
})

describe('a reset that the helper calls failed', () => {
  it('has diverged when it says so, with the sources it names', () => {
    expect(monitor.judge(failing('RESET_VERIFICATION_DIVERGENCE', { failed: ['wipe'] }))).toEqual({
      kind: 'diverged',
      sources: ['wipe'],
      message: "The wipe's own proof disagreed.",
    })
  })

  it('was silent when a source was, or the guest itself', () => {
    const noCount = failing('RESET_VERIFICATION_TIMEOUT', { open_fd_count: null, failed: ['open_fd_count'] })
    expect(monitor.judge(noCount)).toMatchObject({ kind: 'silent', sources: ['open_fd_count'] })
    const noAnswer = { ...WIPE, nonce_match: false, dispatches: null, overlay_bytes: null }
    const verdict = monitor.judge(failing('RESET_VERIFICATION_TIMEOUT', { wipe: noAnswer, failed: ['wipe'] }))
    expect(verdict).toMatchObject({ kind: 'silent', sources: ['wipe'] })
  })

  it('has diverged although it says silent, when a source contradicts', () => {
    const report = failing('RESET_VERIFICATION_TIMEOUT', { open_fd_count: null, fs_hash: digest('9') })
    expect(monitor.judge(report)).toMatchObject({ kind: 'diverged', sources: ['fs_hash'] })
  })

  it('merely failed when nothing was read', () => {
    const nothing = {
      fs_hash: null,
      fs_hash_match: null,
      open_fd_count: null,
      vmm_api_state: null,
      wipe: null,
    }
    expect(monitor.judge(failing('RESET_FAILED', nothing))).toEqual({ kind: 'failed', message: 'It said so' })
    expect(monitor.baselines).toBeNull()
  })

  it('has diverged when it gives no reason', () => {
    expect(monitor.judge({ ...PASSED, verification_passed: false })).toMatchObject({ kind: 'diverged' })
  })
})
