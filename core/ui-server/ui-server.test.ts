import { randomUUID } from 'node:crypto'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import type { App } from '../app.ts'
import { LIMITS, type UiMessage } from '../protocol/index.ts'
import { onCleanup, ready, scriptedApp, temporaryDirectory, until } from '../testing/fixture.ts'
import { serveUi, type UiServer } from './index.ts'
import { UNAUTHORIZED_CLOSE } from './page-connection.ts'

let app: App
let ui: UiServer
let clock: { ms: number }

beforeEach(async () => {
  const root = temporaryDirectory()
  const directory = join(root, 'ui')
  mkdirSync(join(directory, 'assets'), { recursive: true })
  writeFileSync(join(directory, 'index.html'), '<!doctype html>')
  writeFileSync(join(directory, 'assets', 'app.js'), '1')
  writeFileSync(join(directory, 'assets', '.hidden.js'), '1')
  writeFileSync(join(directory, 'assets', 'secret.pem'), 'key')
  writeFileSync(join(root, 'outside.js'), 'outside')
  symlinkSync(join(root, 'outside.js'), join(directory, 'link.js'))
  app = scriptedApp({ autoStart: false })
  await app.start()
  clock = { ms: 0 }
  ui = await serveUi(app, { directory, clock: { now: () => new Date(), monotonic: () => clock.ms } })
})

type Answer = { status: number; headers: IncomingHttpHeaders; body: string }

function get(
  path: string,
  options: { method?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { method = 'GET', headers = {} } = options
    const request = httpRequest({ host: '127.0.0.1', port: ui.port, path, method, headers }, (response) => {
      let body = ''
      response.on('data', (chunk: Buffer) => (body += chunk.toString()))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }))
    })
    request.on('error', reject)
    request.end()
  })
}

const tokenOf = (url: string): string => new URL(url).hash.replace('#token=', '')
const origin = (): string => `http://127.0.0.1:${ui.port}`

/** A page: its socket, what it heard, and how it ended. */
function page(headers: Record<string, string> = {}, path = '/ws') {
  const socket = new WebSocket(`ws://127.0.0.1:${ui.port}${path}`, {
    headers: { Origin: origin(), ...headers },
  })
  const heard: UiMessage[] = []
  socket.on('message', (data: Buffer) => heard.push(JSON.parse(data.toString()) as UiMessage))
  socket.on('error', () => undefined)
  const refusal = new Promise<number>((resolve) =>
    socket.on('unexpected-response', (request, response) => {
      resolve(response.statusCode ?? 0)
      request.destroy()
    }),
  )
  const closed = new Promise<number>((resolve) => socket.on('close', resolve))
  const open = new Promise<void>((resolve) => socket.on('open', resolve))
  onCleanup(() => socket.terminate())
  const until = async <T extends UiMessage['type']>(type: T): Promise<Extract<UiMessage, { type: T }>> => {
    for (let n = 0; n < 500; n += 1) {
      const message = heard.find((candidate) => candidate.type === type)
      if (message !== undefined) return message as Extract<UiMessage, { type: T }>
      await sleep(10)
    }
    throw new Error(`no ${type} came`)
  }
  const send = async (message: object): Promise<void> => {
    await open
    socket.send(JSON.stringify(message))
  }
  let id = 0
  const ask = async (message: object): Promise<Extract<UiMessage, { type: 'reply' }>> => {
    const mine = (id += 1)
    await send({ id: mine, ...message })
    for (let n = 0; n < 1_000; n += 1) {
      const reply = heard.find((candidate) => candidate.type === 'reply' && candidate.id === mine)
      if (reply?.type === 'reply') return reply
      await sleep(10)
    }
    throw new Error('no reply came')
  }
  return { socket, heard, refusal, closed, send, ask, until }
}

async function signedIn() {
  const mine = page()
  await mine.send({ action: 'auth', token: tokenOf(ui.mintUrl()) })
  const { session } = await mine.until('session')
  return { ...mine, session }
}

describe('the page', () => {
  it('is served with headers that let it talk to its own app and nothing else', async () => {
    const { status, headers, body } = await get('/')
    expect(status).toBe(200)
    expect(body).toBe('<!doctype html>')
    expect(headers['content-security-policy']).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
        `connect-src 'self' ws://127.0.0.1:${ui.port}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    )
    expect(headers).toMatchObject({
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'content-type': 'text/html; charset=utf-8',
    })
    expect(headers['set-cookie']).toBeUndefined()
    expect(headers['access-control-allow-origin']).toBeUndefined()
  })

  it('may be asked for by GET and HEAD only', async () => {
    expect(await get('/assets/app.js', { method: 'HEAD' })).toMatchObject({ status: 200, body: '' })
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])
      expect((await get('/', { method })).status, method).toBe(405)
  })

  it.each([
    '/../outside.js',
    '/%2e%2e/outside.js',
    '/assets/..%2f..%2foutside.js',
    '/assets/%252e%252e/x.js',
    '//etc/passwd',
    '/assets\\..\\x.js',
    '/link.js',
    '/assets/secret.pem',
    '/assets/.hidden.js',
    '/assets/',
    '/assets',
    '/%00.js',
    '/%zz',
    '/nothing.js',
  ])('has nothing at %s', async (path) => {
    expect((await get(path)).status).toBe(404)
  })

  it.each(['localhost', '127.0.0.1', 'evil.example', '[::1]', '127.0.0.1.evil.example'])(
    'is not served under the name %s',
    async (name) => {
      const host = name === '127.0.0.1' ? name : `${name}:${ui.port}`
      expect((await get('/', { headers: { Host: host } })).status).toBe(421)
    },
  )

  it('is not given to the page of another site', async () => {
    expect((await get('/', { headers: { Origin: 'http://evil.example' } })).status).toBe(403)
    expect((await get('/', { headers: { Origin: 'null' } })).status).toBe(403)
  })

  it('is reachable on this machine alone', () => {
    expect(ui.mintUrl()).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/#token=[\w-]{43}$/)
  })
})

describe('the WebSocket', () => {
  it.each([
    ['another origin', () => ({ Origin: 'http://evil.example' }), 403],
    ['the origin of another port', () => ({ Origin: 'http://127.0.0.1:1' }), 403],
    ['the name localhost as origin', () => ({ Origin: `http://localhost:${ui.port}` }), 403],
    ['another host', () => ({ Host: `localhost:${ui.port}` }), 421],
  ])('refuses %s', async (_name, headers, status) => {
    expect(await page(headers()).refusal).toBe(status)
  })

  it('refuses a client without an origin', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${ui.port}/ws`)
    socket.on('error', () => undefined)
    const status = await new Promise((resolve) => {
      socket.on('unexpected-response', (request, response) => {
        resolve(response.statusCode)
        request.destroy()
      })
    })
    expect(status).toBe(403)
  })

  it('is at one path', async () => {
    expect(await page({}, '/').refusal).toBe(404)
  })

  it('takes a token once', async () => {
    const token = tokenOf(ui.mintUrl())
    const first = page()
    await first.send({ action: 'auth', token })
    await first.until('snapshot')
    const second = page()
    await second.send({ action: 'auth', token })
    expect(await second.closed).toBe(UNAUTHORIZED_CLOSE)
    expect(second.heard).toEqual([])
  })

  it('takes no token after 60 s', async () => {
    const token = tokenOf(ui.mintUrl())
    clock.ms += 60_000
    const late = page()
    await late.send({ action: 'auth', token })
    expect(await late.closed).toBe(UNAUTHORIZED_CLOSE)
  })

  it('lets a page come back by its session, as often as it likes, without a cookie', async () => {
    const { session, socket } = await signedIn()
    socket.terminate()
    for (let n = 0; n < 2; n += 1) {
      const again = page()
      await again.send({ action: 'auth', session })
      expect((await again.until('session')).session).toBe(session)
    }
  })

  it.each([
    ['a session that nobody gave', { action: 'auth', session: 'x'.repeat(43) }],
    ['a token and a session', { action: 'auth', token: 'x', session: 'y' }],
    ['neither', { action: 'auth' }],
    ['a request before auth', { id: 1, action: 'stop' }],
    ['something long', { action: 'auth', token: 'x'.repeat(LIMITS.helloBytes) }],
  ])('is closed on %s', async (_name, message) => {
    const stranger = page()
    await stranger.send(message)
    expect(await stranger.closed).toBe(UNAUTHORIZED_CLOSE)
    expect(stranger.heard).toEqual([])
    expect(app.snapshot().state).not.toBe('stopping')
  })

  it('is closed on a binary message, and on silence for 2 s', async () => {
    const binary = page()
    await new Promise((resolve) => binary.socket.on('open', resolve))
    binary.socket.send(Buffer.from(JSON.stringify({ action: 'auth', token: tokenOf(ui.mintUrl()) })))
    expect(await binary.closed).toBe(UNAUTHORIZED_CLOSE)
    expect(await page().closed).toBe(UNAUTHORIZED_CLOSE)
  })

  it('is closed on what is not a request, once signed in', async () => {
    const mine = await signedIn()
    await mine.send({ action: 'format_disk', id: 1 })
    expect(await mine.closed).toBe(1008)
  })

  it('refuses a message that is too large', async () => {
    const mine = await signedIn()
    mine.socket.send('x'.repeat(5 * 1024 * 1024))
    expect(await mine.closed).toBe(1009)
  })
})

describe('a page that signed in', () => {
  beforeEach(() => void app.up().catch(() => undefined))

  it('sees the state at once, and each change', async () => {
    const mine = await signedIn()
    await mine.until('snapshot')
    await ready(app)
    const last = (): string | undefined =>
      mine.heard.findLast((message) => message.type === 'snapshot')?.snapshot.state
    await expect.poll(last, { timeout: 15_000 }).toBe('ready')
  })

  it('runs a tool as the client ui, sees its output, and gets the answer with the verdict', async () => {
    const mine = await signedIn()
    await ready(app)
    const command_id = randomUUID()
    const reply = await mine.ask({
      action: 'run',
      command_id,
      tool: 'echo',
      params: { text: 'hi' },
      deadline_ms: 5_000,
    })
    expect(reply).toMatchObject({
      ok: true,
      result: {
        kind: 'exec_response',
        command_id,
        stdout: 'hi',
        sandbox_reset_state: { verification_passed: true },
      },
    })
    expect(await mine.until('output')).toMatchObject({ command_id, stream: 'stdout' })
    expect(app.snapshot().dispatches[0]?.client).toBe('ui')
    expect(await mine.ask({ action: 'verify_evidence', command_id })).toMatchObject({
      ok: true,
      result: { ok: true },
    })
    expect(await mine.ask({ action: 'reset' })).toMatchObject({
      ok: true,
      result: { verification_passed: true },
    })
  })

  it('is told errors as errors, with the next step', async () => {
    const mine = await signedIn()
    await ready(app)
    const reply = await mine.ask({ action: 'recover', reason: 'no reason' })
    expect(reply).toMatchObject({
      ok: false,
      error: { code: 'BAD_REQUEST', message: 'The sandbox is not degraded.' },
    })
  })

  it('stops and starts the VM', async () => {
    const mine = await signedIn()
    await ready(app)
    expect((await mine.ask({ action: 'stop' })).ok).toBe(true)
    expect(app.snapshot().state).toBe('stopped')
    expect((await mine.ask({ action: 'start' })).ok).toBe(true)
    expect(app.snapshot().state).toBe('ready')
  })

  it('cancels what it had running when it goes', async () => {
    const mine = await signedIn()
    await ready(app)
    await mine.send({ id: 1, action: 'run', tool: 'hang', params: {}, deadline_ms: 60_000 })
    await until(app, ({ dispatches }) => dispatches[0]?.state === 'running')
    mine.socket.terminate()
    const { dispatches } = await until(app, (snapshot) => snapshot.dispatches[0]?.state === 'done')
    expect(dispatches[0]?.error?.code).toBe('CANCELLED')
  })

  it('is closed when the app stops', async () => {
    const mine = await signedIn()
    await app.stop()
    expect(await mine.closed).toBe(1001)
    await expect(get('/')).rejects.toThrow()
  })
})
