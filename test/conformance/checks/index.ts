import type { Check } from '../check.ts'
import { bootConfigChecks } from './boot-config.ts'
import { bootChecks } from './boot.ts'
import { commandLineChecks } from './command-line.ts'
import { divergenceChecks } from './divergence.ts'
import { endingChecks } from './ending.ts'
import { evidenceChecks } from './evidence.ts'
import { execChecks } from './exec.ts'
import { fileChecks } from './files.ts'
import { interleavingChecks } from './interleaving.ts'
import { ndjsonChecks } from './ndjson.ts'
import { preflightChecks } from './preflight.ts'
import { queryChecks } from './query.ts'
import { resetChecks } from './reset.ts'
import { responseChecks } from './responses.ts'
import { saveRestoreChecks } from './save-restore.ts'
import { socketChecks } from './sockets.ts'
import { toolChecks } from './tools.ts'
import { verifyChecks } from './verify.ts'

/** Every check, those that need nothing first. */
export const checks: Check[] = [
  ...preflightChecks,
  ...commandLineChecks,
  ...bootConfigChecks,
  ...ndjsonChecks,
  ...responseChecks,
  ...toolChecks,
  ...execChecks,
  ...fileChecks,
  ...evidenceChecks,
  ...queryChecks,
  ...verifyChecks,
  ...resetChecks,
  ...divergenceChecks,
  ...interleavingChecks,
  ...bootChecks,
  ...saveRestoreChecks,
  ...socketChecks,
  ...endingChecks,
]
