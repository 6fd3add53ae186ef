import { randomUUID } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import type { App } from '../app.ts'
import { pathsIn, type Paths } from '../paths.ts'
import { LineSplitter, LIMITS } from '../protocol/index.ts'
import {
  onCleanup,
  ready,
  scriptedApp,
  temporaryDirectory,
  temporaryPaths,
  until,
} from '../testing/fixture.ts'

type Message = Record<string, unknown> & { error?: { code: string; message: string } }

/** A bare client: it sends what a test wants, also what a proper one never would. */
class RawClient {
  readonly socket: Socket
  readonly events: Message[] = []
  readonly #lines = new LineSplitter()
  readonly #waiting = new Map<string, (message: Message) => void>()
  readonly closed: Promise<void>

  constructor(path: string) {
    this.socket = createConnection(path)
    this.socket.on('error', () => undefined)
    this.closed = new Promise((resolve) => this.socket.on('close', () => resolve()))
    this.socket.on('data', (chunk: Buffer) => {
      for (const line of this.#lines.push(chunk)) {
        const message = JSON.parse(line.kind === 'line' ? line.text : '{}') as Message
        const waiting = this.#waiting.get(String(message.request_id))
        if (waiting === undefined) this.events.push(message)
        else waiting(message)
      }
    })
    onCleanup(() => void this.socket.destroy())
  }

  ask(kind: string, fields: object = {}): Promise<Message> {
    const request_id = randomUUID()
    return new Promise((resolve, reject) => {
      this.#waiting.set(request_id, resolve)
      this.socket.once('close', () => reject(new Error('the connection was closed')))
      this.socket.write(`${JSON.stringify({ kind, request_id, ...fields })}\n`)
    })
  }
}

let app: App
let paths: Paths
let tokens: { a: string; b: string }

beforeEach(async () => {
  paths = temporaryPaths()
  app = scriptedApp({ paths })
  await app.start()
  await ready(app)
  tokens = { a: app.clients.add('a'), b: app.clients.add('b') }
})

async function agent(client: 'a' | 'b'): Promise<RawClient> {
  const raw = new RawClient(paths.agentSocket)
  expect(await raw.ask('hello', { token: tokens[client], client })).toMatchObject({
    kind: 'hello_response',
    ok: true,
  })
  return raw
}

async function person(): Promise<RawClient> {
  const raw = new RawClient(paths.controlSocket)
  const token = readFileSync(paths.controlToken, 'utf8').trim()
  expect(await raw.ask('hello', { token, client: 'cli' })).toMatchObject({ kind: 'hello_response' })
  return raw
}

const exec = (tool: string, params: object = {}, command_id: string = randomUUID()) => ({
  command_id,
  tool,
  params,
  deadline_ms: 5_000,
})
const outputsOf = (raw: RawClient): Message[] => raw.events.filter(({ event }) => event === 'exec_output')

describe('before hello', () => {
  it.each(['agentSocket', 'controlSocket'] as const)('nothing else is answered (%s)', async (name) => {
    const raw = new RawClient(paths[name])
    expect(await raw.ask('status')).toMatchObject({ kind: 'error_response', error: { code: 'UNAUTHORIZED' } })
    await raw.closed
  })

  it.each([
    ['a wrong token', { token: 'bsm_wrong', client: 'a' }],
    ['the token of another client', () => ({ token: tokens.b, client: 'a' })],
    ['an unknown client', () => ({ token: tokens.a, client: 'c' })],
  ])('%s is refused and hung up on', async (_name, credentials) => {
    const raw = new RawClient(paths.agentSocket)
    const given = typeof credentials === 'function' ? credentials() : credentials
    expect((await raw.ask('hello', given)).error?.code).toBe('UNAUTHORIZED')
    await raw.closed
  })

  it("an agent's token opens no control.sock, and the control token no agent.sock", async () => {
    const control = readFileSync(paths.controlToken, 'utf8').trim()
    const one = new RawClient(paths.controlSocket)
    expect((await one.ask('hello', { token: tokens.a, client: 'a' })).error?.code).toBe('UNAUTHORIZED')
    const two = new RawClient(paths.agentSocket)
    expect((await two.ask('hello', { token: control, client: 'cli' })).error?.code).toBe('UNAUTHORIZED')
  })

  it('an id of another form than a UUID is not repeated: the refusal is an event', async () => {
    const raw = new RawClient(paths.agentSocket)
    raw.socket.write(`${JSON.stringify({ kind: 'status', request_id: '{evil}\u001b[2J' })}\n`)
    await raw.closed
    expect(raw.events).toMatchObject([{ kind: 'event', event: 'protocol_error' }])
    expect(raw.events[0]).not.toHaveProperty('request_id')
  })

  it('silence is hung up on after 2 s', async () => {
    const raw = new RawClient(paths.agentSocket)
    const began = performance.now()
    await raw.closed
    expect(performance.now() - began).toBeGreaterThan(LIMITS.helloWithinMs - 100)
  })

  it('more than 4 KiB is hung up on, with or without an end of line', async () => {
    const endless = new RawClient(paths.agentSocket)
    endless.socket.write('x'.repeat(LIMITS.helloBytes + 1))
    await endless.closed
    const long = new RawClient(paths.agentSocket)
    await expect(long.ask('hello', { token: 'x'.repeat(5_000), client: 'a' })).rejects.toThrow('closed')
  })

  it('a request that comes in the same packet as a good hello is answered', async () => {
    const raw = new RawClient(paths.agentSocket)
    const hello = { kind: 'hello', request_id: randomUUID(), token: tokens.a, client: 'a' }
    raw.socket.write(`${JSON.stringify(hello)}\n`)
    expect(await raw.ask('exec', exec('echo', { text: 'x'.repeat(10_000) }))).toMatchObject({
      kind: 'exec_response',
    })
  })
})

describe('an agent', () => {
  it('runs a tool and gets the verdict with the answer', async () => {
    const raw = await agent('a')
    const answer = await raw.ask('exec', exec('echo', { text: 'hello' }))
    expect(answer).toMatchObject({
      kind: 'exec_response',
      stdout: 'hello',
      sandbox_reset_state: { verification_passed: true },
    })
    expect(await raw.ask('reset')).toMatchObject({ kind: 'reset_response', verification_passed: true })
    expect(await raw.ask('verify')).toMatchObject({ kind: 'verify_response', fs_hash_match: true })
    expect(await raw.ask('query', { query_kind: 'OpenFdCount' })).toMatchObject({ kind: 'query_response' })
  })

  it('may not ask what only a person may', async () => {
    const raw = await agent('a')
    for (const [kind, fields] of [
      ['up', {}],
      ['down', { quit: true }],
      ['recover', { reason: 'let me' }],
      ['settings', {}],
      ['clients', { action: { do: 'list' } }],
      ['open', {}],
      ['audit_verify', {}],
    ] as const)
      expect((await raw.ask(kind, fields)).error?.code, kind).toBe('BAD_REQUEST')
  })

  it('hears its own output once it subscribed, and nobody else’s', async () => {
    const [a, b] = [await agent('a'), await agent('b')]
    await b.ask('subscribe')
    await a.ask('exec', exec('echo', { text: 'not subscribed' }))
    expect(outputsOf(a)).toEqual([])
    await a.ask('subscribe')
    await a.ask('exec', exec('echo', { text: 'mine' }))
    await b.ask('status')
    expect(outputsOf(a)).toHaveLength(1)
    expect(outputsOf(b)).toEqual([])
  })

  it("does not see another's dispatches, in no state of them", async () => {
    const [a, b] = [await agent('a'), await agent('b')]
    await b.ask('subscribe')
    const hanging = exec('hang')
    const answering = a.ask('exec', hanging)
    await until(app, ({ dispatches }) => dispatches[0]?.state === 'running')
    const status = await b.ask('status')
    expect(JSON.stringify(status)).not.toContain(hanging.command_id)
    expect((status.snapshot as { message: string }).message).toBe('Running a dispatch.')
    expect(await b.ask('cancel', { command_id: hanging.command_id })).toMatchObject({ cancelled: false })
    expect(await b.ask('query', { query_kind: 'ProcessList' })).toMatchObject({ error: { code: 'BUSY' } })
    expect(await a.ask('cancel', { command_id: hanging.command_id })).toMatchObject({ cancelled: true })
    expect((await answering).error?.code).toBe('CANCELLED')
    await b.ask('status')
    expect(JSON.stringify(b.events)).not.toContain(hanging.command_id)
  })

  it("does not learn another's tool from the wipe after it", async () => {
    const [a, b] = [await agent('a'), await agent('b')]
    // This reset never ends.
    a.ask('exec', exec('next-reset', { how: 'silent' })).catch(() => undefined)
    await until(app, ({ state }) => state === 'resetting')
    const messageOf = async (raw: RawClient) =>
      ((await raw.ask('status')).snapshot as { message: string }).message
    expect(await messageOf(b)).toBe('Resetting the VM.')
    expect(await messageOf(a)).toContain('Wiping the VM after')
  })

  it('that goes away cancels what it had running and waiting, and nothing of others', async () => {
    const [a, b] = [await agent('a'), await agent('b')]
    const running = exec('hang')
    a.ask('exec', running).catch(() => undefined)
    await until(app, ({ dispatches }) => dispatches[0]?.state === 'running')
    a.ask('exec', exec('echo')).catch(() => undefined)
    const theirs = b.ask('exec', exec('echo', { text: 'theirs' }))
    a.socket.destroy()
    expect((await theirs).stdout).toBe('theirs')
    const { dispatches } = await until(app, (snapshot) =>
      snapshot.dispatches.every(({ state }) => state === 'done'),
    )
    expect(dispatches.filter(({ client }) => client === 'a').map(({ error }) => error?.code)).toEqual([
      'CANCELLED',
      'CANCELLED',
    ])
  })

  it('that is revoked is hung up on, and cannot come back', async () => {
    const raw = await agent('a')
    app.clients.revoke('a')
    await raw.closed
    const again = new RawClient(paths.agentSocket)
    expect((await again.ask('hello', { token: tokens.a, client: 'a' })).error?.code).toBe('UNAUTHORIZED')
  })

  it('that subscribes and does not read is dropped, and its command cancelled', async () => {
    const raw = await agent('a')
    await raw.ask('subscribe')
    raw.socket.pause()
    raw.socket.write(
      `${JSON.stringify({ kind: 'exec', request_id: randomUUID(), ...exec('flood', { events: 400 }) })}\n`,
    )
    await until(app, ({ dispatches }) => dispatches[0]?.state === 'done')
    raw.socket.resume()
    await raw.closed
    expect(outputsOf(raw).length).toBeLessThan(400)
  })

  it('may send nonsense and go on', async () => {
    const raw = await agent('a')
    raw.socket.write('not JSON\n{"kind":"exec"}\n[]\n')
    expect((await raw.ask('exec', { command_id: 'x', tool: '', params: 1 })).error?.code).toBe('BAD_REQUEST')
    expect((await raw.ask('hello', { token: tokens.b, client: 'b' })).error?.code).toBe('BAD_REQUEST')
    expect(await raw.ask('status')).toMatchObject({ kind: 'status_response' })
  })
})

describe('a person', () => {
  it('adds a client whose token is shown once and kept as a hash', async () => {
    const raw = await person()
    const { token } = await raw.ask('clients', { action: { do: 'add', name: 'new' } })
    expect(token).toMatch(/^bsm_/)
    const kept = readFileSync(paths.clients, 'utf8')
    expect(kept).toContain('new')
    expect(kept).not.toContain(String(token).slice(4))
    const agentOfIt = new RawClient(paths.agentSocket)
    expect(await agentOfIt.ask('hello', { token, client: 'new' })).toMatchObject({ ok: true })
    for (const name of ['cli', 'ui', 'app', 'new'])
      expect((await raw.ask('clients', { action: { do: 'add', name } })).error?.code).toBe('BAD_REQUEST')
  })

  it('sees and may cancel what an agent runs', async () => {
    const [raw, a] = [await person(), await agent('a')]
    const hanging = exec('hang')
    const answering = a.ask('exec', hanging)
    await until(app, ({ dispatches }) => dispatches[0]?.state === 'running')
    expect(JSON.stringify(await raw.ask('status'))).toContain(hanging.command_id)
    expect(await raw.ask('cancel', { command_id: hanging.command_id })).toMatchObject({ cancelled: true })
    expect((await answering).error?.code).toBe('CANCELLED')
  })

  it('checks the audit log and the evidence', async () => {
    const raw = await person()
    const { command_id } = await raw.ask('exec', exec('echo', { text: 'x' }))
    expect(await raw.ask('audit_verify')).toMatchObject({ verdict: { ok: true } })
    expect(await raw.ask('evidence_verify', { command_id })).toMatchObject({ verdict: { ok: true } })
    expect((await raw.ask('evidence_verify', { command_id: randomUUID() })).error?.code).toBe('EVIDENCE_GAP')
  })

  it('stops the VM, starts it, and ends the app', async () => {
    const raw = await person()
    expect(await raw.ask('down', { quit: false })).toMatchObject({ ok: true })
    expect(app.snapshot().state).toBe('stopped')
    expect(await raw.ask('up')).toMatchObject({ ok: true })
    expect(await raw.ask('down', { quit: true })).toMatchObject({ ok: true })
    await app.whenStopped
    await raw.closed
  })
})

describe('the sockets', () => {
  it('are for this user alone, the control token too, which is new at every start', async () => {
    for (const path of [paths.agentSocket, paths.controlSocket, paths.controlToken])
      expect(statSync(path).mode & 0o777, path).toBe(0o600)
    const before = readFileSync(paths.controlToken, 'utf8')
    await app.stop()
    const next = scriptedApp({ paths })
    await next.start()
    expect(readFileSync(paths.controlToken, 'utf8')).not.toBe(before)
  })

  it('refuse a path that a socket address cannot hold, with a sentence', async () => {
    const root = join(temporaryDirectory(), 'x'.repeat(90))
    const long = scriptedApp({ paths: pathsIn(join(root, 's'), join(root, 'c')) })
    await expect(long.start()).rejects.toThrow(/socket path .* bytes long; 104 fit/)
  })
})
