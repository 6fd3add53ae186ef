import {
  EMPTY_SHA256,
  type ResetReport,
  type VerificationDetails,
  type VmmApiState,
  type WipeProof,
} from './protocol/index.ts'

export type Source = ResetReport['failed'][number]

type ResetVerdict =
  | { readonly kind: 'passed' }
  /** An active lie: no retry, degraded (protocol §4). */
  | { readonly kind: 'diverged'; readonly sources: readonly Source[]; readonly message: string }
  /** Silent twice (the helper retried once): degraded. */
  | { readonly kind: 'silent'; readonly sources: readonly Source[]; readonly message: string }
  /** The reset did not happen; nothing is known to have lied. */
  | { readonly kind: 'failed'; readonly message: string }

export interface Baselines {
  readonly fs_hash_baseline: string
  readonly open_fd_count_baseline: number
  readonly expected_vmm_api_state: VmmApiState
}

/**
 * Judges every reset report again, against what the app itself knows: the image manifest that came with
 * it, the baselines of this helper, the epochs it saw. A helper that says "passed" is not taken at its word.
 */
export class IntegrityMonitor {
  #rootfsDigest: string | null = null
  #lastEpoch: number | null = null
  /** By golden hash: another golden snapshot may well hold other descriptors open. */
  readonly #fdBaselines = new Map<string, number>()
  #lastFdBaseline: number | null = null

  /** A helper booted: its baselines are measured anew, its disk must be the manifest's. */
  begin(rootfsDigest: string): void {
    this.#rootfsDigest = rootfsDigest
    this.#fdBaselines.clear()
    this.#lastFdBaseline = null
  }

  /** Before the first reset a helper's status tells its baseline; what a reset told is never replaced by it. */
  learnBaseline(goldenHash: string, openFdCount: number): void {
    if (this.#lastFdBaseline !== null) return
    this.#lastFdBaseline = openFdCount
    this.#fdBaselines.set(goldenHash, openFdCount)
  }

  /** What a `verify` compares with; null before the first reset and before {@link learnBaseline}. */
  get baselines(): Baselines | null {
    if (this.#rootfsDigest === null || this.#lastFdBaseline === null) return null
    return {
      fs_hash_baseline: this.#rootfsDigest,
      open_fd_count_baseline: this.#lastFdBaseline,
      expected_vmm_api_state: 'running',
    }
  }

  judge(report: ResetReport): ResetVerdict {
    const found = [...this.#details(report), ...this.#wipe(report)]
    const lies = found.filter(({ kind }) => kind === 'lie').map(({ source }) => source)
    const silent = found.filter(({ kind }) => kind === 'silent').map(({ source }) => source)
    const code = report.error?.code

    if (code === 'RESET_VERIFICATION_DIVERGENCE' || report.divergence_action === 'halt' || lies.length > 0) {
      // What a failed reset could not show is not a lie; what it showed wrongly is.
      return { kind: 'diverged', ...named([...report.failed, ...lies], report, 'disagreed') }
    }
    if (code === 'RESET_VERIFICATION_TIMEOUT')
      return { kind: 'silent', ...named([...report.failed, ...silent], report, 'stayed silent twice') }
    if (report.verification_passed && report.error === undefined) {
      if (silent.length > 0)
        return {
          kind: 'diverged',
          ...named(silent, report, 'said nothing in a reset that is said to have passed'),
        }
      this.#learn(report)
      return { kind: 'passed' }
    }
    if (report.error === undefined) return { kind: 'diverged', ...named(report.failed, report, 'disagreed') }
    return { kind: 'failed', message: report.error.message }
  }

  /** Sources of a `verify` that contradict the baselines; a silent one is no contradiction. */
  contradictions(details: VerificationDetails): Source[] {
    return this.#details(details)
      .filter(({ kind }) => kind === 'lie')
      .map(({ source }) => source)
  }

  #details(details: VerificationDetails): Finding[] {
    return [...this.#fsHash(details), ...this.#fdCount(details), ...vmmState(details)]
  }

  #fsHash({ fs_hash, fs_hash_baseline, fs_hash_match }: VerificationDetails): Finding[] {
    if (fs_hash === null || fs_hash_baseline === null) return [{ source: 'fs_hash', kind: 'silent' }]
    const agrees =
      fs_hash_match === true &&
      fs_hash === fs_hash_baseline &&
      fs_hash_baseline === this.#rootfsDigest &&
      fs_hash_baseline !== EMPTY_SHA256
    return agrees ? [] : [{ source: 'fs_hash', kind: 'lie' }]
  }

  #fdCount(details: VerificationDetails & { golden_hash?: string | null }): Finding[] {
    const { open_fd_count, open_fd_count_baseline, golden_hash } = details
    if (open_fd_count === null || open_fd_count_baseline === null)
      return [{ source: 'open_fd_count', kind: 'silent' }]
    const known = this.#fdBaselines.get(golden_hash ?? '')
    const agrees =
      open_fd_count === open_fd_count_baseline && (known === undefined || known === open_fd_count_baseline)
    return agrees ? [] : [{ source: 'open_fd_count', kind: 'lie' }]
  }

  /** Missing from a reset that is said to have passed, it is a lie; a guest that did not answer is silent. */
  #wipe({ wipe, error }: ResetReport): Finding[] {
    const unanswered = wipe === null || (wipe.dispatches === null && wipe.overlay_bytes === null)
    if (unanswered && error !== undefined) return [{ source: 'wipe', kind: 'silent' }]
    const real = wipe !== null && isRealWipe(wipe, this.#lastEpoch)
    return real ? [] : [{ source: 'wipe', kind: 'lie' }]
  }

  #learn({ wipe, golden_hash, open_fd_count_baseline }: ResetReport): void {
    if (wipe !== null) this.#lastEpoch = wipe.epoch
    if (open_fd_count_baseline === null) return
    this.#lastFdBaseline = open_fd_count_baseline
    if (golden_hash !== null) this.#fdBaselines.set(golden_hash, open_fd_count_baseline)
  }
}

type Finding = { readonly source: Source; readonly kind: 'lie' | 'silent' }

function vmmState({ vmm_api_state, expected_vmm_api_state }: VerificationDetails): Finding[] {
  if (vmm_api_state === null) return [{ source: 'vmm_api_state', kind: 'silent' }]
  const agrees = vmm_api_state === 'running' && expected_vmm_api_state === 'running'
  return agrees ? [] : [{ source: 'vmm_api_state', kind: 'lie' }]
}

/** The new VM is another one, made from the golden RAM, in a later epoch, and nothing ran in it yet. */
const isRealWipe = (wipe: WipeProof, lastEpoch: number | null): boolean =>
  wipe.old !== null &&
  wipe.old.id !== wipe.new.id &&
  wipe.nonce_match &&
  wipe.dispatches === 0 &&
  wipe.overlay_bytes !== null &&
  (lastEpoch === null || wipe.epoch > lastEpoch)

const WORDS: Record<Source, string> = {
  wipe: "the wipe's own proof",
  fs_hash: 'the hash of the disk',
  open_fd_count: 'the count of open descriptors',
  vmm_api_state: "the hypervisor's state",
}

function named(
  sources: readonly Source[],
  report: ResetReport,
  did: string,
): { sources: Source[]; message: string } {
  const unique = [...new Set(sources)]
  const subject =
    unique.length === 0 ? 'A source that was not named' : unique.map((s) => WORDS[s]).join(' and ')
  const sentence = `${subject} ${did}`
  // The helper's own sentence names the sources again; it is worth showing where we know none.
  const detail = unique.length > 0 || report.error === undefined ? '' : ` (${report.error.message})`
  return { sources: unique, message: `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}${detail}.` }
}
