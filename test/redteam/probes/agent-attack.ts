import { randomUUID } from 'node:crypto'
import { BsmError, type AgentExecResponse } from '../../../core/protocol/index.ts'
import { DeadlineError } from '../../support/deadline.ts'
import type { Message } from '../../support/raw-peer.ts'
import type { ProxyMode } from '../../support/socket-proxy.ts'
import { isVerified, type AppVisit } from '../app-stage.ts'
import { Broken, must } from '../../gates/broken.ts'
import { probe, type Defect, type Probe } from '../probe.ts'
import type { Stage } from '../stage.ts'

/** What the probes of agents have in common. */

export const HANG_UP_MS = 10_000
export const MIB = 1024 * 1024
export const ONE_AT_A_TIME: [ProxyMode, string] = [
  'one-at-a-time',
  'one connection is served after the other',
]
export const UNREFUSING: [ProxyMode, string] = ['unrefusing', 'nothing is refused']
export const DEAF: [ProxyMode, string] = ['deaf', 'nobody notices that a client has gone']
export const CLINGING: [ProxyMode, string] = ['clinging', 'no connection is hung up on']
export const TWICE: [ProxyMode, string] = ['twice', 'every answer is given twice']

export const pidOf = ({ process: { child } }: AppVisit): number => child.pid ?? 0

/** Far above the one line that an app may hold of a connection, and far below what is sent to it. */
export const GROWTH_BYTES = 128 * MIB

export const attack = (
  id: string,
  promise: string,
  [socket, when]: [ProxyMode, Defect['when']],
  run: (app: AppVisit, stage: Stage) => Promise<string | undefined>,
  more: Partial<Pick<Probe, 'slice' | 'budgetMs'>> = {},
): Probe =>
  probe({
    id: `agents.${id}`,
    group: 'Agents',
    attacker: 'agent',
    promise,
    needs: 'app',
    run: async (stage) => {
      const app = await stage.app()
      try {
        return await run(app, stage)
      } catch (error) {
        // What was promised and did not come within its deadline is what the probe has seen.
        if (error instanceof DeadlineError || (error instanceof BsmError && error.code === 'TIMEOUT'))
          throw new Broken(error.message)
        throw error
      }
    },
    defect: { when, socket },
    ...more,
  })

export const seen = (value: unknown): string => (JSON.stringify(value) ?? 'nothing').slice(0, 400)

export const exec = (command: string, command_id: string = randomUUID(), deadline_ms = 60_000) => ({
  command_id,
  tool: 'sh',
  params: { command },
  deadline_ms,
})

export function mustBeVerified(answer: Message | AgentExecResponse | null): asserts answer {
  must(answer !== null && isVerified(answer as AgentExecResponse), `it was not served: ${seen(answer)}`)
}

/** Others come in and are served, whatever happens beside them. */
export async function mustServe(app: AppVisit): Promise<void> {
  const { sandbox } = await app.agent()
  const answer = await sandbox.exec('echo', { text: 'served' }, { deadlineMs: 30_000 })
  must(answer.stdout.startsWith('served'), `another agent got ${seen(answer)}`)
  mustBeVerified(answer)
  await sandbox.close()
}
