import { randomUUID } from 'node:crypto'
import type {
  AgentEvent,
  AgentExecResponse,
  AppSnapshot,
  ControlRequest,
  QueryKind,
  QueryResult,
  ResetResponse,
  ToolCall,
  VerifyResponse,
} from '../core/protocol/index.ts'
import { BsmError } from '../core/protocol/index.ts'
import type { Connection, Credentials, RequestBody, RequestOptions, ResponseTo } from './connection.ts'
import { DEFAULT_QUEUE_MS, toolCall, type ExecOptions, type Params } from './exec.ts'
import { Link } from './link.ts'
import { LiveOutput } from './live-output.ts'
import { defaultAgentSocket } from './socket-path.ts'

export type ConnectOptions = {
  token: string
  /** Name that the token was issued to. */
  client: string
  /** `agent.sock` of this user's app unless given. */
  socketPath?: string
  /** Milliseconds for connecting, and for answers that need no VM; 10 000 unless given. */
  timeoutMs?: number
}

export type CallOptions = { timeoutMs?: number; signal?: AbortSignal }

/** A reset may wait for a cold boot, and for the dispatches of others before it. */
const RESET_MS = 180_000
const VERIFY_MS = 60_000
/** What the app may still need after a tool's deadline: the kill, and the reset before it answers. */
const AFTER_DEADLINE_MS = RESET_MS

/**
 * A sandbox for an agent: every `exec` runs in a fresh guest that is wiped, and proven wiped, before the
 * response arrives.
 *
 * ```ts
 * await using sandbox = await Sandbox.connect({ token, client: 'my-agent' })
 * const { stdout, sandbox_reset_state } = await sandbox.exec('sh', { command: 'uname -a' })
 * ```
 *
 * A lost connection rejects what was in flight; the next call connects again.
 */
export class Sandbox {
  readonly #requests: Link
  /** Apart from the requests: the app hangs up on a subscriber that reads too slowly, and that must cancel nothing. */
  readonly #events: Link
  readonly #subscriptions = new WeakMap<Connection, Promise<unknown>>()
  #subscribers = 0
  readonly #timeoutMs: number

  protected constructor(credentials: Credentials, timeoutMs: number) {
    this.#requests = new Link(credentials, timeoutMs)
    this.#events = new Link(credentials, timeoutMs)
    this.#timeoutMs = timeoutMs
  }

  /** Throws {@link BsmError}: `AppNotRunningError` when nobody listens, UNAUTHORIZED for a wrong token. */
  static async connect(options: ConnectOptions): Promise<Sandbox> {
    const { token, client, socketPath = defaultAgentSocket(), timeoutMs = 10_000 } = options
    return new Sandbox({ token, client, socketPath }, timeoutMs).dial()
  }

  /**
   * Dispatches one tool and waits for its result and for the verdict of the reset after it. A tool that
   * fails is a response with its exit code; a response with `error` says why the sandbox stopped it.
   */
  async exec(tool: string, params: Params = {}, options: ExecOptions = {}): Promise<AgentExecResponse> {
    const commandId = options.commandId ?? randomUUID()
    const call = toolCall(commandId, tool, params, options)
    const live = options.onOutput === undefined ? null : new LiveOutput(commandId, options.onOutput)
    const release = await this.#follow(live)
    try {
      const response = await this.dispatch(call, options)
      await live?.complete(response)
      return response
    } finally {
      release()
    }
  }

  /** {@link exec} of a dispatch that is in its wire form already. */
  async dispatch(
    call: ToolCall,
    { queueMs = DEFAULT_QUEUE_MS, signal }: Pick<ExecOptions, 'queueMs' | 'signal'> = {},
  ): Promise<AgentExecResponse> {
    const timeoutMs = queueMs + call.deadline_ms + AFTER_DEADLINE_MS
    try {
      return await this.request<'exec'>({ kind: 'exec', ...call }, { timeoutMs, signal })
    } catch (error) {
      if (error instanceof BsmError && stillRuns(error))
        await this.cancel(call.command_id).catch(() => undefined)
      throw error
    }
  }

  /** Wipes the guest now and says what the verification found; queues behind others' dispatches. */
  async reset(options: CallOptions = {}): Promise<ResetResponse> {
    return this.request({ kind: 'reset' }, { timeoutMs: RESET_MS, ...options })
  }

  /** Reads the three sources again, without a reset. */
  async verify(options: CallOptions = {}): Promise<VerifyResponse> {
    return this.request({ kind: 'verify' }, { timeoutMs: VERIFY_MS, ...options })
  }

  /** What the app shows to people: state, VM, last resets and this client's dispatches. */
  async status(options: CallOptions = {}): Promise<AppSnapshot> {
    return (await this.request({ kind: 'status' }, { timeoutMs: this.#timeoutMs, ...options })).snapshot
  }

  /** Asks the guest; throws the guest's error. */
  async query(queryKind: QueryKind, options: CallOptions = {}): Promise<QueryResult> {
    const response = await this.request(
      { kind: 'query', query_kind: queryKind },
      { timeoutMs: this.#timeoutMs, ...options },
    )
    if (response.result !== undefined) return response.result
    throw BsmError.fromWire(
      response.error ?? {
        code: 'GUEST_UNREACHABLE',
        message: `the guest did not answer ${queryKind}`,
        layer: 'guest',
      },
    )
  }

  /** True when the command was running or queued and is now cancelled. */
  async cancel(commandId: string, options: CallOptions = {}): Promise<boolean> {
    const response = await this.request(
      { kind: 'cancel', command_id: commandId },
      { timeoutMs: this.#timeoutMs, ...options },
    )
    if (response.error) throw BsmError.fromWire(response.error)
    return response.cancelled
  }

  /**
   * Calls `listener` for the app's state changes and the output of this client's dispatches, until the
   * returned function is called or the connection ends, which `onEnd` hears. The app drops a subscriber
   * that does not read. Once nobody listens any more, the connection is given back.
   */
  async subscribe(
    listener: (event: AgentEvent) => void,
    onEnd: (reason: BsmError) => void = () => undefined,
  ): Promise<() => void> {
    this.#subscribers += 1
    let subscribed = true
    const leave = () => {
      if (!subscribed) return
      subscribed = false
      this.#subscribers -= 1
      // While anyone subscribes, the app keeps asking the VM for its figures.
      if (this.#subscribers === 0) void this.#events.hangUp()
    }
    try {
      const connection = await this.#events.dial()
      const subscription =
        this.#subscriptions.get(connection) ??
        connection.request({ kind: 'subscribe' }, { timeoutMs: this.#timeoutMs })
      this.#subscriptions.set(connection, subscription)
      await subscription
      const forget = connection.listen({ onEvent: listener, onEnd })
      return () => {
        forget()
        leave()
      }
    } catch (error) {
      leave()
      throw error
    }
  }

  /** Ends the connections; the app cancels what was in flight. Idempotent. */
  async close(): Promise<void> {
    await Promise.all([this.#requests.close(), this.#events.close()])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  protected async request<K extends ControlRequest['kind']>(
    body: RequestBody<K> & { kind: K },
    options: RequestOptions,
  ): Promise<ResponseTo<K>> {
    return (await this.#requests.dial()).request<K>(body, options)
  }

  /** Dials ahead of the first request, so that `connect` fails where the caller can see it. */
  protected async dial(): Promise<this> {
    await this.#requests.dial()
    return this
  }

  async #follow(live: LiveOutput | null): Promise<() => void> {
    if (live === null) return () => undefined
    return this.subscribe(
      (event) => live.take(event),
      () => live.end(),
    )
  }
}

/** Errors of our own making, after which the app does not know that nobody waits any more. */
const stillRuns = (error: BsmError): boolean =>
  error.code === 'TIMEOUT' || (error.code === 'CANCELLED' && error.layer === 'agent')
