export { useNow } from './now.ts'
export type { EvidenceCheck, PendingAction, Run, State } from './state.ts'
export { EMPTY_OUTPUT, type LiveOutput } from './live-output.ts'
export {
  cancel,
  dismissFailure,
  recover,
  resetVm,
  runTool,
  startStore,
  startVm,
  stopVm,
  useStore,
  verifyEvidence,
} from './store.ts'
