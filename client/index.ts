/** What an agent imports, as `brainstorm-sandbox/client`: `Sandbox` over `agent.sock`. */
export {
  BsmError,
  LIMITS,
  SandboxBootError,
  SandboxNotAvailableError,
  SandboxResetDivergenceError,
  SandboxResetError,
  SandboxToolTimeoutError,
  type AgentEvent,
  type AgentExecResponse,
  type AppSnapshot,
  type ErrorCode,
  type QueryKind,
  type QueryResult,
  type ResetResponse,
  type SandboxResetState,
  type SandboxState,
  type ToolCall,
  type VerifyResponse,
} from '../core/protocol/index.ts'
export { AgentSandbox, type AgentBootConfig } from './agent-sandbox.ts'
export { Control } from './control.ts'
export { AppNotRunningError, ConnectionLostError } from './errors.ts'
export { outputBytes, type ExecOptions, type FileToSend, type Output, type Params } from './exec.ts'
export { Sandbox, type CallOptions, type ConnectOptions } from './sandbox.ts'
export { defaultAgentSocket } from './socket-path.ts'
