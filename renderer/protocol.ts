/**
 * The page's only view of the contract: types, never code. The modules are named one by one because
 * the front door also exports what needs Node.
 */
export type { AgentExecResponse, EvidenceVerdict, SandboxResetState } from '../core/protocol/agent.ts'
export type { Accelerator, Backend, BootPath, OutputStream } from '../core/protocol/common.ts'
export type { WireError } from '../core/protocol/errors.ts'
export type {
  ChannelStatus,
  HelperStatus,
  ResetPhase,
  ResetPhaseName,
  ResetReport,
  StandbyStatus,
  VerificationDetails,
  WipeProof,
} from '../core/protocol/helper.ts'
export type { ToolSpec } from '../core/protocol/image.ts'
export type {
  AppSnapshot,
  AppState,
  Degraded,
  DispatchRecord,
  PageRequest,
  UiMessage,
  UiRequest,
} from '../core/protocol/ui.ts'
export type { LoginItem, WindowBridge, WindowKind } from '../core/protocol/window.ts'
