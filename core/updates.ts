import { valid, gt } from 'semver'
import { BsmError } from './protocol/index.ts'

/** Where updates come from; in the app electron-updater, which checks signature and digest of what it fetches. */
export interface UpdateFeed {
  /** The newest version that the feed offers. */
  latest(): Promise<string>
  /** Fetches what `latest` named; `onProgress` hears per cent. */
  download(onProgress: (percent: number) => void): Promise<void>
  /** Ends the app, puts the new one in its place and starts it. */
  install(): void
}

export type UpdateState =
  /** No feed is configured. */
  | { readonly kind: 'off' }
  | { readonly kind: 'idle' }
  | { readonly kind: 'checking' }
  | { readonly kind: 'current' }
  | { readonly kind: 'available'; readonly version: string }
  | { readonly kind: 'downloading'; readonly version: string; readonly percent: number }
  | { readonly kind: 'ready'; readonly version: string }
  /** The VM is being stopped; then the app is replaced. */
  | { readonly kind: 'installing'; readonly version: string }
  | { readonly kind: 'failed'; readonly error: BsmError }

export interface UpdatesOptions {
  readonly current: string
  readonly feed: UpdateFeed | null
  /** Stops the VM and everything that belongs to it; resolves when nothing of it runs. */
  readonly stopApp: () => Promise<void>
  readonly onState?: (state: UpdateState) => void
  /** Milliseconds that a feed gets to say what it has. */
  readonly checkMs?: number
}

const CHECK_MS = 30_000

/**
 * What the app does about newer versions of itself: nothing without a feed, nothing by itself, never a step back,
 * and no installation before the VM is stopped.
 */
export class Updates {
  readonly #options: UpdatesOptions
  #state: UpdateState

  constructor(options: UpdatesOptions) {
    this.#options = options
    this.#state = { kind: options.feed === null ? 'off' : 'idle' }
  }

  get state(): UpdateState {
    return this.#state
  }

  /** Asks the feed. A check, a download or an installation that is under way is left alone. */
  async check(): Promise<UpdateState> {
    const { feed, current, checkMs = CHECK_MS } = this.#options
    const { kind } = this.#state
    if (feed === null || kind === 'checking' || kind === 'downloading' || kind === 'installing')
      return this.#state
    this.#enter({ kind: 'checking' })
    try {
      const version = await within(feed.latest(), checkMs)
      return this.#enter(isNewer(version, current) ? { kind: 'available', version } : { kind: 'current' })
    } catch (error) {
      return this.#failed(error)
    }
  }

  /** Fetches what the last check found; anything else is refused by doing nothing. */
  async download(): Promise<UpdateState> {
    const { feed } = this.#options
    if (feed === null || this.#state.kind !== 'available') return this.#state
    const { version } = this.#state
    this.#enter({ kind: 'downloading', version, percent: 0 })
    try {
      await feed.download((percent) => {
        if (this.#state.kind === 'downloading') this.#enter({ kind: 'downloading', version, percent })
      })
      return this.#enter({ kind: 'ready', version })
    } catch (error) {
      return this.#failed(error)
    }
  }

  /** Stops the VM, then installs what was fetched. When the VM cannot be stopped, nothing is installed. */
  async install(): Promise<UpdateState> {
    const { feed, stopApp } = this.#options
    if (feed === null || this.#state.kind !== 'ready') return this.#state
    this.#enter({ kind: 'installing', version: this.#state.version })
    try {
      await stopApp()
      feed.install()
      return this.#state
    } catch (error) {
      return this.#failed(error)
    }
  }

  #failed(error: unknown): UpdateState {
    return this.#enter({ kind: 'failed', error: updateError(error) })
  }

  #enter(state: UpdateState): UpdateState {
    this.#state = state
    this.#options.onState?.(state)
    return state
  }
}

/** By SemVer; what is not a version is never newer. */
export const isNewer = (offered: string, current: string): boolean =>
  valid(offered) !== null && valid(current) !== null && gt(offered, current)

async function within<T>(work: Promise<T>, ms: number): Promise<T> {
  let late: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_resolve, reject) => {
    late = setTimeout(() => reject(new Error(`no answer within ${Math.round(ms / 1000)} s`)), ms)
  })
  try {
    return await Promise.race([work, deadline])
  } finally {
    clearTimeout(late)
  }
}

const updateError = (cause: unknown): BsmError =>
  cause instanceof BsmError
    ? cause
    : new BsmError('VM_LIFECYCLE_ERROR', 'app', 'The update could not be fetched or installed.', {
        nextStep: 'Try again later, or install the new version from its disk image.',
        cause,
      })
