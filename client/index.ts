/** What an agent imports: `Sandbox` over `agent.sock`. */
export { Control } from './control.ts'
export { AppNotRunningError, ConnectionLostError } from './errors.ts'
export { outputBytes, type ExecOptions, type FileToSend, type Output, type Params } from './exec.ts'
export { Sandbox, type CallOptions, type ConnectOptions } from './sandbox.ts'
export { defaultAgentSocket } from './socket-path.ts'
