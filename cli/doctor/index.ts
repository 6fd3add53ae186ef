import type { Check } from './check.ts'
import { app } from './checks/app.ts'
import { bundles } from './checks/bundles.ts'
import { development } from './checks/development.ts'
import { guestImage } from './checks/guest-image.ts'
import { memory } from './checks/memory.ts'
import { node } from './checks/node.ts'
import { preflight } from './checks/preflight.ts'
import { socketPath } from './checks/socket-path.ts'
import { stateDir } from './checks/state-dir.ts'

/** Every check there is, in the order of the report: one list for CLI, page and support bundle. */
export const CHECKS: readonly Check[] = [
  node,
  bundles,
  preflight,
  guestImage,
  stateDir,
  socketPath,
  memory,
  app,
  development,
]

export type { Result } from './check.ts'
export { thisMachine } from './machine.ts'
export { runChecks } from './run-checks.ts'
