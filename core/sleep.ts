import { BsmError } from './protocol/index.ts'

interface SleepParts {
  /** There is a VM that could be dispatched to. */
  readonly running: () => boolean
  /** Rejects when the helper does not answer. */
  readonly probe: () => Promise<void>
  /** Resolves when the dispatch that runs, if any, has ended and was wiped. */
  readonly settled: () => Promise<void>
  /** Replaces the VM, and acts on what it finds; never rejects. */
  readonly renew: (why: string) => Promise<void>
  readonly replaceHelper: (why: BsmError) => Promise<void>
  readonly onChange: (phase: SleepPhase) => void
}

export type SleepPhase = 'awake' | 'asleep' | 'probing' | 'renewing'

/**
 * What a machine's sleep does to the VM. A guest that was frozen with its host has a clock that is behind and
 * connections that may be gone, so waking is a change of state: nothing is dispatched before the helper was probed
 * and the VM replaced, which sets its clock and proves it.
 */
export class Sleep {
  readonly #parts: SleepParts
  #phase: SleepPhase = 'awake'
  /** Of the newest sleep: one that comes while an older one is being recovered from takes over. */
  #night = 0

  constructor(parts: SleepParts) {
    this.#parts = parts
  }

  get phase(): SleepPhase {
    return this.#phase
  }

  begin(): void {
    this.#night += 1
    this.#enter('asleep')
  }

  /** Resolves when dispatches go on. A wake that no sleep was heard of before counts as well. */
  async end(): Promise<void> {
    const night = (this.#night += 1)
    const over = (): boolean => this.#night !== night
    const { running, probe, settled, renew, replaceHelper } = this.#parts
    if (running()) {
      this.#enter('probing')
      const silent = await probe().then(
        () => null,
        (error: unknown) => didNotWake(error),
      )
      if (over()) return
      if (silent !== null) await replaceHelper(silent)
      else {
        this.#enter('renewing')
        await settled()
        if (over()) return
        if (running()) await renew('The machine slept: replacing the VM.')
      }
      if (over()) return
    }
    this.#enter('awake')
  }

  #enter(phase: SleepPhase): void {
    this.#phase = phase
    this.#parts.onChange(phase)
  }
}

const didNotWake = (cause: unknown): BsmError =>
  new BsmError('TIMEOUT', 'helper', 'The helper did not answer after the machine slept.', { cause })
