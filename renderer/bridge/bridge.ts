import type {
  AgentExecResponse,
  Bundle,
  ClientsAnswer,
  Diagnosis,
  EvidenceVerdict,
  LogPage,
  SettingsView,
  UiMessage,
  UiRequest,
  WireError,
} from '../protocol.ts'

/** What the page can ask, without the number that pairs a question with its answer. */
export type Call = UiRequest extends infer R ? (R extends { id: number } ? Omit<R, 'id'> : never) : never

/** What each question is answered with. */
export type Answer<C extends Call> = C['action'] extends keyof Answers ? Answers[C['action']] : unknown
type Answers = {
  run: AgentExecResponse
  verify_evidence: EvidenceVerdict
  settings: SettingsView
  clients: ClientsAnswer
  logs: LogPage
  diagnose: Diagnosis
  bundle: Bundle
}

export type Connection =
  | { kind: 'connecting' }
  | { kind: 'open' }
  /** Attempts since the connection was last open; the next one comes by itself. */
  | { kind: 'reconnecting'; attempt: number }
  /** Nothing the page can do alone: a person must open a fresh address. */
  | { kind: 'signed_out'; reason: 'no_token' | 'refused' }

export type Snapshot = Extract<UiMessage, { type: 'snapshot' }>
export type Output = Extract<UiMessage, { type: 'output' }>
export type LogGrew = Extract<UiMessage, { type: 'log_grew' }>
export type BridgeEvent = Snapshot | Output | LogGrew | { type: 'connection'; connection: Connection }

/**
 * The page's one way out: a WebSocket when headless, the preload's bridge in the app's window.
 *
 * `request` rejects with a {@link RequestError}, never with anything else.
 */
export interface Bridge {
  connect(): void
  request<C extends Call>(call: C): Promise<Answer<C>>
  /** Returns how to stop listening. */
  subscribe(listener: (event: BridgeEvent) => void): () => void
}

/** A refused or lost request, with what the app said about it. */
export class RequestError extends Error {
  override readonly name = 'RequestError'
  readonly wire: WireError
  constructor(wire: WireError) {
    super(wire.message)
    this.wire = wire
  }
}

/** Anything thrown by a bridge, as the error that a person is shown. */
export function wireErrorOf(thrown: unknown): WireError {
  if (thrown instanceof RequestError) return thrown.wire
  return {
    code: 'INTERNAL_BUG',
    layer: 'app',
    message: thrown instanceof Error ? thrown.message : String(thrown),
    next_step: 'Reload the page; if it happens again, report it with these words.',
  }
}
