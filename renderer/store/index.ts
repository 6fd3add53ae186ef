export { useAnswer, type Asked } from './use-answer.ts'
export { useNow } from './now.ts'
export { useSeen } from './seen.ts'
export type { EvidenceCheck, PendingAction, Run, State } from './state.ts'
export { EMPTY_OUTPUT, type LiveOutput } from './live-output.ts'
export {
  ask,
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
