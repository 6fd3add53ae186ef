import type { Probe } from '../probe.ts'
import { AGENTS } from './agents.ts'
import { ANSWERS } from './answers.ts'
import { CONFINEMENT } from './confinement.ts'
import { EGRESS } from './egress.ts'
import { EXHAUSTION } from './exhaustion.ts'
import { FRAMES } from './frames.ts'
import { OUTPUT } from './output.ts'
import { PERSISTENCE } from './persistence.ts'
import { SNAPSHOT } from './snapshot.ts'
import { STATE_DIRECTORY } from './state-directory.ts'
import { SUBSTRATE } from './substrate.ts'

export const PROBES: readonly Probe[] = [
  ...PERSISTENCE,
  ...CONFINEMENT,
  ...AGENTS,
  ...STATE_DIRECTORY,
  ...EXHAUSTION,
  ...EGRESS,
  ...FRAMES,
  ...SUBSTRATE,
  ...SNAPSHOT,
  ...ANSWERS,
  ...OUTPUT,
]
