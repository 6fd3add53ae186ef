/**
 * The page's only view of the contract: types, never code. The modules are named one by one because
 * the front door also exports what needs Node.
 */
export type { AgentExecResponse, EvidenceVerdict, SandboxResetState } from '../core/protocol/agent.ts'
export type { ClientInfo, ClientsAction, ClientsAnswer } from '../core/protocol/clients.ts'
export type { Accelerator, Backend, BootPath, OutputStream } from '../core/protocol/common.ts'
export type { Bundle, CheckResult, Diagnosis } from '../core/protocol/diagnostics.ts'
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
export type { LogLine, LogPage, LogSource } from '../core/protocol/logs.ts'
export type { Settings, SettingsPatch, SettingsView } from '../core/protocol/settings.ts'
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
