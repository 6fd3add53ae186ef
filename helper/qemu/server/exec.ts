import {
  BsmError,
  capOutput,
  ErrorCode,
  type ExecRequest,
  type ExecResponse,
  LIMITS,
  type ToolDispatch,
} from '../../../core/protocol/index.ts'
import { within } from '../deadline.ts'
import { ChainFile } from '../evidence/chain-file.ts'
import type { Executed, Execution } from '../guest-link/execution.ts'
import { encodeFrame } from '../guest-link/frames.ts'
import type { Emit } from './events.ts'
import type { LiveVm } from './live-vm.ts'

/** Exit code of a dispatch that could not be run (§3). */
const NOT_RUN = 254
const KILLED = 137
/** A killed tool's result comes at once; a guest that does not send one is not waited for. */
const CANCEL_GRACE_MS = 2_000

export const refusedExec = (request: ExecRequest, error: BsmError): ExecResponse => ({
  kind: 'exec_response',
  request_id: request.request_id,
  command_id: request.command_id,
  exit_code: NOT_RUN,
  stdout: '',
  stderr: '',
  evidence_hash: null,
  error: error.toWire(),
})

/** One `exec` from request to response. */
export class Exec {
  readonly request: ExecRequest
  readonly startedAt = new Date().toISOString()
  readonly #live: LiveVm
  readonly #emit: Emit
  readonly #stateDir: string
  #execution: Execution | null = null
  #cancelled = false

  constructor(request: ExecRequest, live: LiveVm, emit: Emit, stateDir: string) {
    this.request = request
    this.#live = live
    this.#emit = emit
    this.#stateDir = stateDir
  }

  /** Never rejects: what goes wrong is in the response. */
  async run(): Promise<ExecResponse> {
    const { request } = this
    let chain: ChainFile | null = null
    try {
      const dispatch = toDispatch(request)
      chain = await ChainFile.create(this.#stateDir, request.command_id)
      const file = chain
      if (this.#cancelled) throw cancelled()
      this.#execution = this.#live.vm.execute(dispatch, this.#live.epoch, {
        chunk: (chunk) => file.append(chunk),
        output: ({ stream, data, seq }) =>
          this.#emit({
            event: 'exec_output',
            command_id: request.command_id,
            stream,
            data_b64: data.toString('base64'),
            seq,
          }),
      })
      const executed = await this.#execution.done
      return this.#succeeded(executed, await this.#closed(chain))
    } catch (thrown) {
      const path = chain === null ? null : await this.#closed(chain)
      return this.#failed(BsmError.from(thrown, 'helper'), path)
    }
  }

  /** Ends the tool; resolves with whether there was one to end. */
  async cancel(): Promise<boolean> {
    this.#cancelled = true
    const execution = this.#execution
    if (execution === null) return true
    const over = execution.done.then(ignore, ignore)
    const isOver = (async () => {
      await this.#live.vm.control.kill(this.request.command_id, CANCEL_GRACE_MS).catch(ignore)
      await over
    })()
    await within(CANCEL_GRACE_MS, isOver, cancelled).catch(() => execution.fail(cancelled()))
    return true
  }

  /** Null when the chain could not be kept whole: then that is said, and nothing points at it. */
  async #closed(chain: ChainFile): Promise<string | null> {
    const failure = await chain.close()
    if (failure === null) return chain.path
    this.#emit({
      event: 'log',
      source: 'helper',
      level: 'error',
      message: `The evidence of ${this.request.command_id} was not kept whole: ${String(failure)}`,
    })
    return null
  }

  #succeeded({ result, verdict }: Executed, evidencePath: string | null): ExecResponse {
    return {
      kind: 'exec_response',
      request_id: this.request.request_id,
      command_id: result.command_id,
      exit_code: result.exit_code,
      stdout: result.stdout,
      stderr: result.stderr,
      evidence_hash: verdict.evidenceHash,
      epoch: this.#live.epoch,
      duration_ms: result.duration_ms,
      truncated: result.truncated,
      stdout_bytes: result.stdout_bytes,
      stderr_bytes: result.stderr_bytes,
      encoding: result.encoding,
      ...(result.files === undefined ? {} : { files: result.files }),
      evidence_path: evidencePath,
      ...(result.error === undefined ? {} : { error: guestError(result.error).toWire() }),
    }
  }

  #failed(error: BsmError, evidencePath: string | null): ExecResponse {
    const response = refusedExec(this.request, error)
    if (this.#execution === null) return response
    const { stdout, stderr } = this.#execution.collected()
    const [out, err] = [capOutput(stdout), capOutput(stderr)]
    const wasKilled = error.code === 'SANDBOX_TOOL_TIMEOUT' || error.code === 'CANCELLED'
    return {
      ...response,
      exit_code: wasKilled ? KILLED : NOT_RUN,
      stdout: out.text,
      stderr: err.text,
      epoch: this.#live.epoch,
      truncated: { stdout: out.truncated, stderr: err.truncated },
      stdout_bytes: out.bytes,
      stderr_bytes: err.bytes,
      encoding: { stdout: out.encoding, stderr: err.encoding },
      evidence_path: evidencePath,
    }
  }
}

function toDispatch(request: ExecRequest): Omit<ToolDispatch, 'type'> {
  const { kind: _kind, request_id: _id, ...dispatch } = request
  const bytes = (request.files_in ?? []).reduce(
    (sum, file) => sum + Buffer.byteLength(file.data_b64, 'base64'),
    0,
  )
  if (bytes > LIMITS.filesBytes)
    throw new BsmError(
      'BAD_REQUEST',
      'agent',
      `Files of ${bytes} bytes were sent; ${LIMITS.filesBytes} are allowed.`,
      {
        nextStep: 'Send less, or in several dispatches.',
      },
    )
  if (encodeFrame({ type: 'ToolDispatch', ...dispatch }).length > LIMITS.frameBytes)
    throw new BsmError('BAD_REQUEST', 'agent', 'The dispatch does not fit a frame of 16 MiB.', {
      nextStep: 'Send less, or in several dispatches.',
    })
  return dispatch
}

/** What the guest says of its own failure; a code it has no business with becomes a fault of the guest. */
function guestError(error: { code: string; message: string }): BsmError {
  const code = ErrorCode.safeParse(error.code)
  return code.success
    ? new BsmError(code.data, code.data === 'BAD_REQUEST' ? 'agent' : 'guest', error.message)
    : new BsmError('VM_LIFECYCLE_ERROR', 'guest', error.message, { cause: error.code })
}

const cancelled = (): BsmError => new BsmError('CANCELLED', 'agent', 'The command was cancelled.')
const ignore = (): void => undefined
