import type { Diagnosis } from '../protocol/index.ts'
import type { Check, Machine } from './check.ts'
import { app } from './checks/app.ts'
import { audit } from './checks/audit.ts'
import { bundles } from './checks/bundles.ts'
import { channels } from './checks/channels.ts'
import { clock } from './checks/clock.ts'
import { development } from './checks/development.ts'
import { guestImage } from './checks/guest-image.ts'
import { memory } from './checks/memory.ts'
import { node } from './checks/node.ts'
import { preflight } from './checks/preflight.ts'
import { socketPath } from './checks/socket-path.ts'
import { stateDir } from './checks/state-dir.ts'
import { runChecks } from './run-checks.ts'

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
  channels,
  clock,
  audit,
  development,
]

/** Runs every check; a warning leaves the machine ok. */
export async function diagnose(machine: Machine): Promise<Diagnosis> {
  const checks = await runChecks(CHECKS, machine)
  return { ok: checks.every(({ status }) => status !== 'fail'), checks }
}

export { makeBundle } from './bundle.ts'
export type { Machine } from './check.ts'
export { thisMachine } from './machine.ts'
