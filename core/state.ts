import type { Clock } from './clock.ts'
import type { SupervisorState } from './helper/index.ts'
import type { SleepPhase } from './sleep.ts'
import type {
  AppSnapshot,
  BsmError,
  AppState,
  Degraded,
  DispatchRecord,
  HelperStatus,
  ResetReport,
  WireError,
} from './protocol/index.ts'

/** Newest entries kept in a snapshot. */
const LIST_LENGTH = 50
/** Subscribers hear at most 20 snapshots a second. */
const NOTIFY_EVERY_MS = 50

export type Activity =
  | { readonly kind: 'idle' }
  | { readonly kind: 'dispatching'; readonly tool: string; readonly client: string }
  | { readonly kind: 'resetting'; readonly why: string }

export interface Circumstances {
  readonly ending: boolean
  readonly degraded: Degraded | null
  /** Why a boot could not even be tried. */
  readonly problem: BsmError | null
  /** A VM is wanted. */
  readonly rising: boolean
  readonly supervisor: SupervisorState
  readonly sleep: SleepPhase
  readonly activity: Activity
}

interface Standing {
  readonly state: AppState
  readonly message: string
  readonly error: WireError | null
}

/** The one place that decides what state the app is in; tray, window, CLI and MCP show it and derive nothing. */
export function standing({
  ending,
  degraded,
  problem,
  rising,
  supervisor,
  sleep,
  activity,
}: Circumstances): Standing {
  const is = (state: AppState, message: string, error: WireError | null = null): Standing => ({
    state,
    message,
    error,
  })
  if (ending) return is('stopping', 'Stopping.')
  if (degraded !== null) return is('degraded', `Dispatches are refused: ${degraded.message}`)
  switch (supervisor.kind) {
    case 'stopped':
      if (problem !== null) return is('failed', problem.message, problem.toWire())
      if (rising) return is('starting', 'Starting the VM.')
      return is('stopped', 'The VM is not running.')
    case 'starting':
      return is('starting', 'Starting the VM.')
    case 'restarting':
      return is('starting', `${supervisor.why.message} Starting a new one.`)
    case 'stopping':
      return is('stopping', 'Stopping the VM.')
    case 'failed':
      return is('failed', supervisor.error.message, supervisor.error.toWire())
    case 'ready':
      return sleeping(sleep, activity, is) ?? working(activity, is)
  }
}

/** A VM that slept with its machine is not ready before it was replaced; what runs meanwhile is shown as it is. */
function sleeping(
  sleep: SleepPhase,
  activity: Activity,
  is: (state: AppState, message: string) => Standing,
): Standing | null {
  switch (sleep) {
    case 'awake':
      return null
    case 'asleep':
      return is('resetting', 'The machine goes to sleep; the VM is replaced when it wakes.')
    case 'probing':
      return is('resetting', 'The machine woke up: checking the VM.')
    case 'renewing':
      return activity.kind === 'idle' ? is('resetting', 'The machine woke up: replacing the VM.') : null
  }
}

function working(activity: Activity, is: (state: AppState, message: string) => Standing): Standing {
  switch (activity.kind) {
    case 'idle':
      return is('ready', 'Ready for a dispatch.')
    case 'dispatching':
      return is('dispatching', `Running ${activity.tool} for ${activity.client}.`)
    case 'resetting':
      return is('resetting', activity.why)
  }
}

/** Holds the snapshot: replaced whole, never changed, told to subscribers at a bounded rate. */
export class StateStore {
  readonly #clock: Clock
  readonly #onFault: (error: unknown) => void
  readonly #subscribers = new Set<(snapshot: AppSnapshot) => void>()
  #snapshot: AppSnapshot
  #timer: NodeJS.Timeout | undefined
  #lastNotified = -Infinity

  /** `onFault` hears what a subscriber throws: the others are told all the same. */
  constructor(version: string, clock: Clock, onFault: (error: unknown) => void = () => undefined) {
    this.#clock = clock
    this.#onFault = onFault
    this.#snapshot = deepFreeze<AppSnapshot>({
      version,
      state: 'stopped',
      message: 'The VM is not running.',
      since: clock.now().toISOString(),
      error: null,
      degraded: null,
      helper: null,
      resets: [],
      dispatches: [],
      queue_length: 0,
      tools: [],
      helper_restarts: 0,
      last_crash: null,
      first_run: false,
      reset_target_ms: { fast_snapshot: 1_000, cold_boot: 5_000 },
    })
  }

  get snapshot(): AppSnapshot {
    return this.#snapshot
  }

  update(patch: Partial<AppSnapshot>): void {
    const since =
      patch.state === undefined || patch.state === this.#snapshot.state
        ? this.#snapshot.since
        : this.#clock.now().toISOString()
    this.#snapshot = deepFreeze({ ...this.#snapshot, ...patch, since })
    this.#schedule()
  }

  updateHelper(patch: (status: HelperStatus) => HelperStatus): void {
    const { helper } = this.#snapshot
    if (helper !== null) this.update({ helper: patch(helper) })
  }

  recordReset(report: ResetReport): void {
    this.update({ resets: [withShortError(report), ...this.#snapshot.resets].slice(0, LIST_LENGTH) })
  }

  recordDispatch(record: DispatchRecord): void {
    const dispatches = [withShortError(record), ...this.#snapshot.dispatches].slice(0, LIST_LENGTH)
    this.update({ dispatches, first_run: false })
  }

  updateDispatch(commandId: string, patch: Partial<DispatchRecord>): void {
    this.update({
      dispatches: this.#snapshot.dispatches.map((record) =>
        record.command_id === commandId ? withShortError({ ...record, ...patch }) : record,
      ),
    })
  }

  /** Hears every state that lasts; states passed through within 50 ms may be skipped. */
  subscribe(subscriber: (snapshot: AppSnapshot) => void): () => void {
    this.#subscribers.add(subscriber)
    return () => this.#subscribers.delete(subscriber)
  }

  /** Tells subscribers at once what they have not heard yet, and nothing afterwards. */
  close(): void {
    if (this.#timer !== undefined) this.#notify()
    this.#subscribers.clear()
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#subscribers.size === 0) return
    const wait = Math.max(0, this.#lastNotified + NOTIFY_EVERY_MS - this.#clock.monotonic())
    this.#timer = setTimeout(() => this.#notify(), wait)
  }

  #notify(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#lastNotified = this.#clock.monotonic()
    for (const subscriber of [...this.#subscribers]) {
      try {
        subscriber(this.#snapshot)
      } catch (error) {
        this.#onFault(error)
      }
    }
  }
}

/** A guest may have had a hand in an error's words; every snapshot carries a hundred of them. */
const ERROR_LENGTH = 1_000
const short = (text: string): string =>
  text.length > ERROR_LENGTH ? `${text.slice(0, ERROR_LENGTH).replace(/[\ud800-\udbff]$/, '')} …` : text

function withShortError<T extends { error?: WireError | null | undefined }>(record: T): T {
  const { error } = record
  if (error === undefined || error === null) return record
  return {
    ...record,
    error: {
      ...error,
      message: short(error.message),
      ...(error.next_step === undefined ? {} : { next_step: short(error.next_step) }),
      ...(error.details === undefined ? {} : { details: short(error.details) }),
    },
  }
}

/** Freezes what is not frozen yet: most of a new snapshot is shared with the one before. */
function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  Object.freeze(value)
  for (const part of Object.values(value)) deepFreeze(part)
  return value
}
