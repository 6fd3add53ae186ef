import { count, shortDigest } from '../format/numbers.ts'
import type { ResetReport } from '../protocol.ts'

export type Verdict = 'agrees' | 'differs' | 'silent'
export type SourceName = ResetReport['failed'][number]

/** One thing that a reset was judged by, in plain words. */
export type Finding = {
  source: SourceName
  title: string
  /** Where the value comes from. */
  asked: string
  found: string
  expected: string
  /** The whole values where `found` and `expected` are shortened. */
  full: { found: string; expected: string } | null
  verdict: Verdict
}

/**
 * What a report says of the wipe and of the three sources. The verdict is the report's (`failed`),
 * never this page's: two values that look alike do not overrule a helper that says they differ.
 */
export function findingsOf(report: ResetReport): Finding[] {
  const judged = (source: SourceName, known: boolean): Verdict =>
    !known ? 'silent' : report.failed.includes(source) ? 'differs' : 'agrees'
  return [
    {
      source: 'wipe',
      title: 'The wipe',
      asked: 'old VM and new',
      ...wipeWords(report),
      full: null,
      verdict: judged('wipe', report.wipe !== null),
    },
    {
      source: 'fs_hash',
      title: 'Disk',
      asked: 'bytes of the file',
      found: shortDigest(report.fs_hash),
      expected: shortDigest(report.fs_hash_baseline),
      full: { found: report.fs_hash ?? 'no answer', expected: report.fs_hash_baseline ?? 'none' },
      verdict: judged('fs_hash', report.fs_hash !== null),
    },
    {
      source: 'open_fd_count',
      title: 'Open descriptors',
      asked: 'from the guest',
      found: numberOr(report.open_fd_count, 'no answer'),
      expected: numberOr(report.open_fd_count_baseline, 'no baseline'),
      full: null,
      verdict: judged('open_fd_count', report.open_fd_count !== null),
    },
    {
      source: 'vmm_api_state',
      title: 'VM state',
      asked: 'from the hypervisor',
      found: report.vmm_api_state ?? 'no answer',
      expected: report.expected_vmm_api_state,
      full: null,
      verdict: judged('vmm_api_state', report.vmm_api_state !== null),
    },
  ]
}

function wipeWords({ wipe }: ResetReport): { found: string; expected: string } {
  const expected = 'a clean VM'
  if (wipe === null) return { found: 'no proof', expected }
  if (wipe.old !== null && wipe.old.id === wipe.new.id) return { found: 'the same VM', expected }
  if (!wipe.nonce_match) return { found: 'other memory', expected }
  if (wipe.dispatches === null) return { found: 'no answer', expected }
  if (wipe.dispatches > 0) return { found: `a VM that ran ${count(wipe.dispatches)} before`, expected }
  return { found: expected, expected }
}

/** The wipe's proof in sentences, for whoever wants to know what "wiped" means. */
export function wipeSentences({ wipe }: ResetReport): string[] {
  if (wipe === null) return ['The helper gave no proof that the old VM is gone.']
  return [
    wipe.old === null
      ? 'There was no VM before this one.'
      : `The old VM (${wipe.old.id}) was ended without its cooperation: ${wipe.old.exit}.`,
    `The new one (${wipe.new.id}) was made from the golden snapshot and carries epoch ${count(wipe.epoch)}.`,
    wipe.nonce_match
      ? 'It showed the secret that only the golden memory holds, and that the first dispatch erases.'
      : 'It did not show the secret that only the golden memory holds.',
    `It reported ${dispatchWords(wipe.dispatches)} and ${numberOr(wipe.overlay_bytes, 'an unknown number of')} bytes written.`,
  ]
}

const dispatchWords = (n: number | null) =>
  n === null ? 'an unknown number of dispatches' : n === 0 ? 'no dispatches' : `${count(n)} dispatches`

const numberOr = (n: number | null, otherwise: string) => (n === null ? otherwise : count(n))
