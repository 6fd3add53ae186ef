import type { App } from '../app.ts'
import { administerClients } from '../clients.ts'
import { AgentRequest, ControlRequest, type AppSnapshot } from '../protocol/index.ts'
import { badRequest, type Connection, type Peer } from './connection.ts'

type Request = ControlRequest

/** Answers one request of an authenticated peer; throws a {@link BsmError} for an `error_response`. */
export async function answer(
  app: App,
  message: unknown,
  connection: Connection,
  peer: Peer,
): Promise<object> {
  const request = parse(message, peer)
  const { request_id } = request
  const respond = (fields: object): object => ({ kind: `${request.kind}_response`, request_id, ...fields })
  switch (request.kind) {
    case 'hello':
      throw badRequest('This connection said hello already.')
    case 'exec': {
      const { kind: _kind, request_id: _id, ...call } = request
      return respond(await app.exec(peer.client, call, { signal: connection.gone }))
    }
    case 'verify':
      return respond(await app.verify(peer.client, connection.gone))
    case 'reset':
      return respond(await app.reset(peer.client, connection.gone))
    case 'status':
      return respond({ snapshot: visibleTo(peer, await app.status()) })
    case 'query': {
      const {
        kind: _kind,
        request_id: _id,
        ...result
      } = await app.query(peer.client, request.query_kind, peer.person)
      return respond(result)
    }
    case 'cancel': {
      const cancelled = app.cancel(request.command_id, peer.person ? undefined : peer.client)
      return respond({ command_id: request.command_id, cancelled })
    }
    case 'subscribe':
      connection.subscribed = true
      return respond({ ok: true })
    default:
      return respond(await administer(app, request))
  }
}

type AdminRequest = Exclude<
  Request,
  { kind: (typeof AgentRequest.options)[number]['shape']['kind']['value'] }
>

async function administer(app: App, request: AdminRequest): Promise<object> {
  switch (request.kind) {
    case 'up':
      await app.up()
      return { ok: true }
    case 'down':
      await app.down()
      // After the answer has left: it travels over the sockets that stopping closes.
      if (request.quit) setTimeout(() => void app.stop(), 50)
      return { ok: true }
    case 'recover':
      await app.recover(request.reason)
      return { ok: true }
    case 'settings':
      return app.settings(request.set)
    case 'clients':
      return administerClients(app.clients, request.action)
    case 'open':
      return { url: app.openUi() }
    case 'audit_verify':
      return { verdict: await app.verifyAudit() }
    case 'evidence_verify':
      return { verdict: await app.verifyEvidence(request.command_id) }
  }
}

/** What only a person may ask is, on `agent.sock`, not a request at all. */
function parse(message: unknown, peer: Peer): Request {
  const parsed = (peer.person ? ControlRequest : AgentRequest).safeParse(message)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const where = issue === undefined || issue.path.length === 0 ? '' : ` at ${issue.path.join('.')}`
  throw badRequest(`The request is ill-formed${where}: ${issue?.message ?? 'it is unknown'}.`)
}

/** An agent sees its own dispatches; those of others only as the time they take. */
export function visibleTo(peer: Peer, snapshot: AppSnapshot): AppSnapshot {
  if (peer.person) return snapshot
  const dispatches = snapshot.dispatches.filter(({ client }) => client === peer.client)
  const { helper } = snapshot
  const own = dispatches.some(({ command_id }) => command_id === helper?.exec?.command_id)
  return {
    ...snapshot,
    message: neutralMessage(snapshot, dispatches),
    dispatches,
    helper: helper === null || own ? helper : { ...helper, exec: null },
  }
}

/** The message names the tool that runs, or after which the VM is wiped: only its own client shall read it. */
function neutralMessage({ state, message }: AppSnapshot, own: AppSnapshot['dispatches']): string {
  if (own.some((record) => record.state === 'running' || record.state === 'resetting')) return message
  if (state === 'dispatching') return 'Running a dispatch.'
  return state === 'resetting' ? 'Resetting the VM.' : message
}
