import type { AgentExecResponse } from '../../core/protocol/index.ts'
import { EXIT_CODE } from '../exit-codes.ts'

/** With what `bsm exec` ends: the tool's own code, unless the sandbox has something to say. */
export function execExitCode(response: AgentExecResponse): number {
  switch (response.error?.code) {
    case undefined:
      return response.sandbox_reset_state?.verification_passed === true
        ? response.exit_code
        : EXIT_CODE.sandbox
    case 'SANDBOX_TOOL_TIMEOUT':
      return EXIT_CODE.deadline
    case 'CANCELLED':
      return EXIT_CODE.interrupted
    case 'TOOL_NOT_REGISTERED':
      return 127
    default:
      return EXIT_CODE.sandbox
  }
}
