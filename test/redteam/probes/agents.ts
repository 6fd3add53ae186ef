import { randomUUID } from 'node:crypto'
import type { RawPeer } from '../../support/raw-peer.ts'
import type { Credentials, ProxyMode } from '../../support/socket-proxy.ts'
import type { AppVisit } from '../app-stage.ts'
import { must } from '../../gates/broken.ts'
import type { Probe } from '../probe.ts'
import { attack, exec, HANG_UP_MS, mustBeVerified, seen } from './agent-attack.ts'
import { CROWDS } from './agent-crowds.ts'
import { LINES } from './agent-lines.ts'

/** What an agent, or whoever can open the agents' socket, may not do, and learn, and do twice. */

// ---------------------------------------------------------------- credentials

type Stranger = {
  who: string
  door?: 'agent' | 'control'
  credentials: (app: AppVisit) => Promise<object | null>
}

function oneBitOff(token: string): string {
  const at = Math.floor(token.length / 2)
  return `${token.slice(0, at)}${String.fromCharCode(token.charCodeAt(at) ^ 1)}${token.slice(at + 1)}`
}

const STRANGERS: Record<string, Stranger> = {
  'no-token': { who: 'without a hello', credentials: async () => null },
  'empty-token': {
    who: 'with an empty token',
    credentials: async (app) => ({ ...(await app.client()), token: '' }),
  },
  'wrong-token': {
    who: 'with a token that was never given',
    credentials: async (app) => ({ ...(await app.client()), token: `bsm_${'A'.repeat(43)}` }),
  },
  'token-one-bit-off': {
    who: 'with a token that is one bit off',
    credentials: async (app) => {
      const { client, token } = await app.client()
      return { client, token: oneBitOff(token) }
    },
  },
  'token-of-another': {
    who: "with another client's token",
    credentials: async (app) => ({ ...(await app.client()), token: (await app.client()).token }),
  },
  'token-of-a-removed': {
    who: 'with the token of a client that was removed',
    credentials: async (app) => {
      const credentials = await app.client()
      await app.person.revokeClient(credentials.client)
      return credentials
    },
  },
  'control-token': { who: "with the person's token", credentials: async (app) => app.personCredentials() },
  'agent-at-control': {
    who: "at the person's socket, with its own token",
    door: 'control',
    credentials: (app) => app.client(),
  },
  'agent-as-person': {
    who: "at the person's socket under the person's name, with its own token",
    door: 'control',
    credentials: async (app) => ({ ...(await app.client()), client: 'cli' }),
  },
}

const strangers = Object.entries(STRANGERS).map(([id, { who, door, credentials }]) =>
  attack(
    id,
    `Who comes ${who} is refused, hung up on, and runs nothing.`,
    ['any-token', 'any token will do'],
    async (app) => {
      const given = await credentials(app)
      const peer = await app.peer(undefined, door)
      const call = exec('true')
      const lines = [...(given === null ? [] : [{ kind: 'hello', ...given }]), { kind: 'exec', ...call }]
      // At one go: a second write would find the connection closed, and what it was told unread.
      await peer.send(
        lines.map((line) => `${JSON.stringify({ request_id: randomUUID(), ...line })}\n`).join(''),
      )
      const answer = await peer.hear('an answer', () => true)
      must(answer?.error?.code === 'UNAUTHORIZED', `it was answered ${seen(answer)}`)
      must(await peer.isHungUp(HANG_UP_MS), 'it was not hung up on')
      must(peer.heard.length === 1, `it heard more: ${seen(peer.heard)}`)
      must(app.audited(call.command_id).length === 0, 'its dispatch was begun')
    },
    { slice: id === 'token-one-bit-off' },
  ),
)

const removed = attack(
  'removed-while-connected',
  'A client that is removed is hung up on at once, and what it runs ends.',
  ['clinging', 'a connection stays'],
  async (app) => {
    const credentials = await app.client()
    const peer = await app.peer(credentials)
    const call = exec('sleep 600')
    peer.request('exec', call)
    await app.running(call.command_id)
    await app.person.revokeClient(credentials.client)
    must(await peer.isHungUp(HANG_UP_MS), 'it was not hung up on')
    await app.settled()
  },
)

// ---------------------------------------------------------------- rights

/** Harmless ones first: who does grant them shall not lose its app. */
const ONLY_A_PERSON: [kind: string, fields: object][] = [
  ['settings', {}],
  ['clients', { action: { do: 'list' } }],
  ['audit_verify', {}],
  ['evidence_verify', { command_id: randomUUID() }],
  ['open', {}],
  ['up', {}],
  ['clients', { action: { do: 'add', name: 'intruder' } }],
  ['settings', { set: { memory_mib: 128 } }],
  ['recover', { reason: 'let me in' }],
  ['down', { quit: true }],
]

const AS_PERSON: [ProxyMode, string] = ['as-person', "an agent has a person's rights"]

const rights: readonly Probe[] = [
  attack(
    'only-a-person',
    'An agent cannot ask what only a person may: recovery, clients, settings, start and stop, the audit.',
    AS_PERSON,
    async (app) => {
      const peer = await app.peer(await app.client())
      const { settings } = await app.person.settings()
      for (const [kind, fields] of ONLY_A_PERSON) {
        const answer = await peer.ask(kind, fields)
        must(answer?.error?.code === 'BAD_REQUEST', `${kind} was answered ${seen(answer)}`)
      }
      must(seen((await app.person.settings()).settings) === seen(settings), 'the settings have changed')
      must(!(await app.person.clients()).some(({ name }) => name === 'intruder'), 'there is a new client')
    },
    { slice: true },
  ),
  attack('cancel-another', "An agent cannot cancel another's dispatch.", AS_PERSON, async (app) => {
    const [ann, bob] = [await app.agent(), await app.agent()]
    const commandId = randomUUID()
    const run = ann.sandbox.exec('sh', { command: 'sleep 600' }, { commandId, deadlineMs: 600_000 })
    // Whoever does cancel it ends this before anyone waits for it.
    run.catch(() => undefined)
    await app.running(commandId)
    const cancelled = await bob.sandbox.cancel(commandId)
    must(!cancelled, 'it was cancelled by another')
    must(await ann.sandbox.cancel(commandId), 'its own client could not cancel it')
    mustBeVerified(await run)
  }),
  attack(
    'read-another',
    'An agent learns nothing of what another runs: no output, no history, no evidence, no processes.',
    AS_PERSON,
    async (app) => {
      const [ann, bob] = [await app.peer(await app.client()), await app.peer(await app.client())]
      await bob.ask('subscribe')
      const [secret, call] = [`secret-${randomUUID()}`, exec('')]
      call.params.command = `echo ${secret}; sleep 1; echo ${secret} >&2`
      const id = ann.request('exec', call)
      await app.running(call.command_id)
      const query = await bob.ask('query', { query_kind: 'ProcessList' })
      const during = await bob.ask('status')
      const done = await ann.hear('its answer', ({ request_id }) => request_id === id)
      must(String(done?.['stdout']).includes(secret), `the other got ${seen(done)}`)
      const evidence = await bob.ask('evidence_verify', { command_id: call.command_id })
      const after = await bob.ask('status')
      const told = JSON.stringify(bob.heard)
      must(
        !told.includes(secret) && !told.includes(call.command_id),
        `it was told of it: ${seen([during, after])}`,
      )
      must(query?.error?.code === 'BUSY', `its query was answered ${seen(query)}`)
      must(evidence?.error?.code === 'BAD_REQUEST', `for the evidence it got ${seen(evidence)}`)
    },
  ),
]

// ---------------------------------------------------------------- replay

const NEW_IDS: [ProxyMode, string] = ['new-ids', 'a command_id that was used is given up for another']

const replay = (
  id: string,
  how: string,
  again: (app: AppVisit, first: RawPeer, of: Credentials) => Promise<RawPeer>,
  spelt: (commandId: string) => string = (commandId) => commandId,
): Probe =>
  attack(
    `replay-${id}`,
    `A dispatch that is sent again ${how} is refused, and has run once.`,
    NEW_IDS,
    async (app) => {
      const credentials = await app.client()
      const first = await app.peer(credentials)
      const call = exec('echo once')
      mustBeVerified(await first.ask('exec', call))
      const peer = await again(app, first, credentials)
      const answer = await peer.ask('exec', { ...call, command_id: spelt(call.command_id) })
      must(answer?.error?.code === 'BAD_REQUEST', `it was answered ${seen(answer)}`)
      const begun = app.audited(call.command_id).filter(({ kind }) => kind === 'dispatch_started')
      must(begun.length === 1, `it was begun ${begun.length} times`)
    },
    { slice: id === 'same-connection' },
  )

const replays: readonly Probe[] = [
  replay('same-connection', 'over the same connection', async (_app, first) => first),
  replay('another-connection', 'over another connection', (app, _first, of) => app.peer(of)),
  replay('another-client', 'by another client', async (app) => app.peer(await app.client())),
  replay('after-a-reset', 'after a reset', async (_app, first) => {
    const answer = await first.ask('reset', {}, 60_000)
    must(answer?.['verification_passed'] === true, `the reset gave ${seen(answer)}`)
    return first
  }),
  replay(
    'other-spelling',
    'with its id in upper case',
    async (_app, first) => first,
    (id) => id.toUpperCase(),
  ),
  attack(
    'replay-at-once',
    'A dispatch that is sent by two clients at the same moment, also in another spelling, runs once.',
    NEW_IDS,
    async (app) => {
      const peers = [await app.peer(await app.client()), await app.peer(await app.client())]
      const call = exec('echo once')
      const spelt = [call, { ...call, command_id: call.command_id.toUpperCase() }]
      const answers = await Promise.all(
        peers.flatMap((peer) => spelt.map((one) => peer.ask('exec', one, 60_000))),
      )
      const ran = answers.filter((answer) => answer !== null && answer['sandbox_reset_state'] !== null)
      must(ran.length === 1, `${ran.length} of ${answers.length} ran`)
      for (const answer of answers)
        if (!ran.includes(answer))
          must(answer?.error?.code === 'BAD_REQUEST', `one was answered ${seen(answer)}`)
    },
  ),
]

export const AGENTS: readonly Probe[] = [...strangers, removed, ...rights, ...replays, ...LINES, ...CROWDS]
