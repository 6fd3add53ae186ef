import { randomUUID } from 'node:crypto'
import type { App } from '../app.ts'
import { administerClients } from '../clients.ts'
import type { PageRequest } from '../protocol/index.ts'

/** The name under which dispatches from a page run. */
const CLIENT = 'ui'

/** What concerns the app; the rest is between a page and its session. */
type AppRequest = Exclude<PageRequest, { action: 'attend' | 'follow_log' }>

/** What each button does. `signal` aborts when the page is gone. */
export async function perform(
  app: App,
  request: AppRequest,
  signal: AbortSignal,
): Promise<object | undefined> {
  switch (request.action) {
    case 'start':
      await app.up()
      return undefined
    case 'stop':
      await app.down()
      return undefined
    case 'reset':
      return app.reset(CLIENT, signal)
    case 'recover':
      await app.recover(request.reason, CLIENT)
      return undefined
    case 'run': {
      const { tool, params, deadline_ms, command_id = randomUUID() } = request
      const answer = await app.exec(CLIENT, { command_id, tool, params, deadline_ms }, { signal })
      return { kind: 'exec_response', request_id: command_id, ...answer }
    }
    case 'cancel':
      return { cancelled: app.cancel(request.command_id) }
    case 'verify_evidence':
      return app.verifyEvidence(request.command_id)
    case 'settings':
      return app.settingsView(request.set)
    case 'clients':
      return administerClients(app.clients, request.what)
    case 'logs':
      return app.readLog(request)
    case 'diagnose':
      return app.diagnose()
    case 'bundle':
      return app.supportBundle()
  }
}
