import type { Target } from '../target.ts'
import { CONNECTIONS } from './connections.ts'
import { EVIDENCE } from './evidence.ts'
import { FRAMES } from './frames.ts'
import { INPUTS } from './inputs.ts'
import { NDJSON } from './ndjson.ts'

export const TARGETS: readonly Target[] = [...NDJSON, ...FRAMES, ...EVIDENCE, ...CONNECTIONS, ...INPUTS]
