import type { Connection, Output } from '../bridge/index.ts'
import type {
  Accelerator,
  AgentExecResponse,
  AppSnapshot,
  Backend,
  EvidenceVerdict,
  LogSource,
  WireError,
} from '../protocol.ts'
import { EMPTY_OUTPUT, appendOutput, type LiveOutput } from './live-output.ts'
import { share } from './share.ts'

/** What a person started and has not been answered yet. */
export type PendingAction = 'start' | 'stop' | 'reset' | 'recover' | 'cancel'

export type EvidenceCheck =
  { kind: 'checking' } | { kind: 'checked'; verdict: EvidenceVerdict } | { kind: 'failed'; error: WireError }

export type Run =
  | { kind: 'idle' }
  | { kind: 'running'; commandId: string; tool: string }
  | { kind: 'done'; commandId: string; tool: string; response: AgentExecResponse }
  | { kind: 'failed'; tool: string; error: WireError }

export type State = {
  connection: Connection
  snapshot: AppSnapshot | null
  /** On what the times were measured; kept when the VM is gone, since its times are kept too. */
  machine: { backend: Backend; accelerator: Accelerator } | null
  outputs: Readonly<Record<string, LiveOutput>>
  pending: ReadonlySet<PendingAction>
  /** The last action that failed, until it is put away. */
  failure: { action: PendingAction; error: WireError } | null
  evidence: Readonly<Record<string, EvidenceCheck>>
  /** How often each log was said to have grown. */
  logGrowth: Readonly<Record<LogSource, number>>
  run: Run
}

export const INITIAL: State = {
  connection: { kind: 'connecting' },
  snapshot: null,
  machine: null,
  outputs: {},
  pending: new Set(),
  failure: null,
  evidence: {},
  logGrowth: { app: 0, console: 0, audit: 0 },
  run: { kind: 'idle' },
}

export type Change =
  | { type: 'connection'; connection: Connection }
  /** What was pushed since the last frame: the newest snapshot, and all output in order. */
  | { type: 'pushed'; snapshot: AppSnapshot | null; outputs: readonly Output[] }
  | { type: 'log_grew'; source: LogSource }
  | { type: 'asked'; action: PendingAction }
  | { type: 'answered'; action: PendingAction; error: WireError | null }
  | { type: 'failure_dismissed' }
  | { type: 'evidence'; commandId: string; check: EvidenceCheck }
  | { type: 'run'; run: Run }

/** Commands whose live output is held at once. */
const OUTPUTS_KEPT = 8

/** The store's one rule of change; everything that happens to the page is a {@link Change}. */
export function reduce(state: State, change: Change): State {
  switch (change.type) {
    case 'connection':
      return { ...state, connection: change.connection }
    case 'pushed': {
      const snapshot = change.snapshot === null ? state.snapshot : share(state.snapshot, change.snapshot)
      const { backend, accelerator } = snapshot?.helper ?? {}
      const machine =
        backend === undefined || accelerator === undefined
          ? state.machine
          : share(state.machine, { backend, accelerator })
      return { ...state, snapshot, machine, outputs: withOutputs(state.outputs, change.outputs) }
    }
    case 'log_grew': {
      const { logGrowth } = state
      return { ...state, logGrowth: { ...logGrowth, [change.source]: logGrowth[change.source] + 1 } }
    }
    case 'asked':
      return { ...state, pending: new Set([...state.pending, change.action]), failure: null }
    case 'answered': {
      const pending = new Set([...state.pending].filter((action) => action !== change.action))
      const failure = change.error === null ? state.failure : { action: change.action, error: change.error }
      return { ...state, pending, failure }
    }
    case 'failure_dismissed':
      return { ...state, failure: null }
    case 'evidence':
      return { ...state, evidence: { ...state.evidence, [change.commandId]: change.check } }
    case 'run':
      return { ...state, run: change.run }
  }
}

function withOutputs(outputs: State['outputs'], chunks: readonly Output[]): State['outputs'] {
  if (chunks.length === 0) return outputs
  // A map keeps the order of insertion: put in again at the end, the order is that of last use.
  const heard = new Map(Object.entries(outputs))
  for (const chunk of chunks) {
    const live = heard.get(chunk.command_id) ?? EMPTY_OUTPUT
    heard.delete(chunk.command_id)
    heard.set(chunk.command_id, appendOutput(live, chunk))
  }
  return Object.fromEntries([...heard].slice(-OUTPUTS_KEPT))
}
