import { BsmError, type ErrorCode } from './errors.ts'
import type { ExecRequest, ExecResponse, ResetReport } from './helper.ts'

/** What every Sandbox in TypeScript has in common (§5): over a helper in the app, over `agent.sock` in an agent. */

export type SandboxState = 'not_booted' | 'booting' | 'ready' | 'resetting' | 'failed'

/** What to run; `deadline_ms` is 100 … 3 600 000 and does not include queueing. */
export type ToolCall = Omit<ExecRequest, 'kind' | 'request_id'>
export type ToolOutcome = Omit<ExecResponse, 'kind' | 'request_id'>

type ErrorOptions = { readonly nextStep?: string; readonly cause?: unknown }

/** No VM to run in: not booted, ended, or refused. */
export class SandboxNotAvailableError extends BsmError {
  override readonly name = 'SandboxNotAvailableError'
}

export class SandboxBootError extends BsmError {
  override readonly name = 'SandboxBootError'
}

/** The tool was killed at its deadline; `outcome` holds the output so far. */
export class SandboxToolTimeoutError extends BsmError {
  override readonly name = 'SandboxToolTimeoutError'
  readonly outcome: ToolOutcome
  constructor(message: string, outcome: ToolOutcome) {
    super('SANDBOX_TOOL_TIMEOUT', 'guest', message, {
      nextStep: 'Give the tool a longer deadline_ms, or less to do.',
    })
    this.outcome = outcome
  }
}

/** The reset did not happen; nothing is known to have lied. */
export class SandboxResetError extends BsmError {
  override readonly name = 'SandboxResetError'
  readonly report: ResetReport | null
  constructor(code: ErrorCode, message: string, report: ResetReport | null, options: ErrorOptions = {}) {
    super(code, 'helper', message, options)
    this.report = report
  }
}

/** A source disagreed, or was silent twice: degraded until a person acts (protocol §4). */
export class SandboxResetDivergenceError extends BsmError {
  override readonly name = 'SandboxResetDivergenceError'
  declare readonly code: 'RESET_VERIFICATION_DIVERGENCE' | 'RESET_VERIFICATION_TIMEOUT'
  readonly sources: readonly string[]
  readonly report: ResetReport | null
  constructor(
    code: 'RESET_VERIFICATION_DIVERGENCE' | 'RESET_VERIFICATION_TIMEOUT',
    message: string,
    sources: readonly string[],
    report: ResetReport | null,
  ) {
    super(code, 'hypervisor', message, {
      nextStep: 'Look at the report, then leave degraded mode with `bsm recover --reason "…"`.',
    })
    this.sources = sources
    this.report = report
  }
}
