import {
  BsmError,
  type EvidenceChunk,
  type FromGuest,
  type ToolDispatch,
  type ToolResult,
} from '../../../core/protocol/index.ts'
import { deferred } from '../deadline.ts'
import { EvidenceVerifier, type Output, type Verdict } from '../evidence/verifier.ts'

/**
 * What the guest has beyond a dispatch's own deadline: 10 s to collect files, 5 s to empty the tool's cgroup
 * (`guest/internal/dispatch`), and the way. A guest that is silent for longer is not waited for.
 */
const HOST_GRACE_MS = 17_000
/** Result and evidence come over two connections: the one may arrive this much before the other. */
const CHAIN_LAG_MS = 5_000

export type Executed = { result: ToolResult; verdict: Verdict }
export type ExecutionHooks = {
  chunk: (chunk: EvidenceChunk) => void
  output: (output: Output) => void
}

/** One dispatch under way: joins its result (1024) and its evidence (1025), and bounds it in time. */
export class Execution {
  readonly commandId: string
  readonly #verifier: EvidenceVerifier
  readonly #hooks: ExecutionHooks
  readonly #done = deferred<Executed>()
  #result: ToolResult | null = null
  #timer: NodeJS.Timeout
  #over = false

  constructor(dispatch: Omit<ToolDispatch, 'type'>, epoch: number, hooks: ExecutionHooks) {
    this.commandId = dispatch.command_id
    this.#verifier = new EvidenceVerifier(dispatch, epoch)
    this.#hooks = hooks
    this.#timer = setTimeout(() => {
      this.fail(
        new BsmError('SANDBOX_TOOL_TIMEOUT', 'guest', 'The guest did not end the tool at its deadline.', {
          nextStep: 'The VM is replaced by the next reset; run the command again with a longer deadline.',
        }),
      )
    }, dispatch.deadline_ms + HOST_GRACE_MS)
  }

  /** Resolves when result and chain agree; rejects with what went wrong. */
  get done(): Promise<Executed> {
    return this.#done.promise
  }

  /** Output that came, for a dispatch that found no good end. */
  collected(): { stdout: Buffer; stderr: Buffer } {
    return this.#verifier.collected()
  }

  take(message: FromGuest): void {
    if (this.#over) return
    try {
      if (message.type === 'EvidenceChunk') this.#takeChunk(message)
      else if (message.type === 'ToolResult') this.#takeResult(message)
      else if (message.type === 'Error') throw refusal(message.code, message.message)
    } catch (error) {
      this.fail(BsmError.from(error, 'helper'))
    }
  }

  fail(error: BsmError): void {
    if (this.#over) return
    this.#over = true
    clearTimeout(this.#timer)
    this.#done.reject(error)
  }

  #takeChunk(chunk: EvidenceChunk): void {
    const output = this.#verifier.push(chunk)
    this.#hooks.chunk(chunk)
    if (output !== null) this.#hooks.output(output)
    this.#tryFinish()
  }

  #takeResult(result: ToolResult): void {
    if (result.command_id !== this.commandId)
      throw new BsmError(
        'EVIDENCE_MISMATCH',
        'guest',
        `A result of another command (${result.command_id}) came.`,
      )
    // The guest itself has nowhere to send evidence to: none will come.
    if (result.error?.code === 'GUEST_UNREACHABLE') throw refusal(result.error.code, result.error.message)
    this.#result = result
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.fail(new BsmError('EVIDENCE_GAP', 'guest', 'The result came, the end of its evidence did not.'))
    }, CHAIN_LAG_MS)
    this.#tryFinish()
  }

  #tryFinish(): void {
    if (this.#result === null || !this.#verifier.isComplete) return
    const verdict = this.#verifier.finish(this.#result)
    this.#over = true
    clearTimeout(this.#timer)
    this.#done.resolve({ result: this.#result, verdict })
  }
}

function refusal(code: string, message: string): BsmError {
  return code === 'BAD_REQUEST'
    ? new BsmError('BAD_REQUEST', 'agent', `The guest refused the dispatch: ${message}`)
    : new BsmError('GUEST_UNREACHABLE', 'guest', `The guest refused the dispatch: ${message}`, {
        cause: code,
      })
}
