import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createConnection, createServer, type AddressInfo, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, it } from 'vitest'
import type { App } from '../app.ts'
import { ClientStore } from '../clients.ts'
import { systemClock } from '../clock.ts'
import { LIMITS } from '../protocol/index.ts'
import { ensurePaths, type Paths } from '../paths.ts'
import { onCleanup, scriptedApp, temporaryPaths } from '../testing/fixture.ts'
import { Connection, CONNECTION_LIMITS, HeldLines } from './connection.ts'
import { LocalSockets } from './local-sockets.ts'

interface Peer {
  readonly socket: Socket
  readonly heard: () => string
  readonly closed: Promise<void>
}

function connect(to: string | number): Peer {
  const socket = typeof to === 'number' ? createConnection(to, '127.0.0.1') : createConnection(to)
  let heard = ''
  socket.on('data', (chunk: Buffer) => (heard += chunk.toString()))
  socket.on('error', () => undefined)
  onCleanup(() => void socket.destroy())
  return {
    socket,
    heard: () => heard,
    closed: new Promise((resolve) => socket.on('close', () => resolve())),
  }
}

async function hello(peer: Peer, client: string, token: string): Promise<Peer> {
  peer.socket.write(`${JSON.stringify({ kind: 'hello', request_id: randomUUID(), client, token })}\n`)
  for (let n = 0; n < 500 && !peer.heard().includes('\n'); n += 1) await sleep(10)
  return peer
}

describe('the local sockets', () => {
  let app: App
  let paths: Paths
  let token: string

  beforeEach(async () => {
    paths = temporaryPaths()
    app = scriptedApp({ paths, autoStart: false })
    await app.start()
    token = app.clients.add('a')
  })

  const agent = (): Promise<Peer> => hello(connect(paths.agentSocket), 'a', token)
  const person = (): Promise<Peer> =>
    hello(connect(paths.controlSocket), 'cli', readFileSync(paths.controlToken, 'utf8').trim())

  it('let idle agents lock no person out', async () => {
    for (let n = 0; n < LIMITS.connectionsBeforeHello; n += 1) connect(paths.agentSocket)
    await sleep(200)
    expect((await person()).heard()).toContain('hello_response')
  })

  it('hold at most 32 connections before their hello: the oldest gives way, and nobody is locked out', async () => {
    const others = temporaryPaths()
    ensurePaths(others)
    const sockets = new LocalSockets(app, {
      paths: others,
      clients: new ClientStore(others.clients, systemClock),
      logger: app.logger,
      limits: { ...CONNECTION_LIMITS, helloMs: 600_000 },
    })
    await sockets.open()
    onCleanup(() => sockets.close())
    const idle = Array.from({ length: LIMITS.connectionsBeforeHello }, () => connect(others.controlSocket))
    const control = readFileSync(others.controlToken, 'utf8').trim()
    expect((await hello(connect(others.controlSocket), 'cli', control)).heard()).toContain('hello_response')
    await idle[0]?.closed
    expect(idle[0]?.heard(), 'there is nothing to say to it').toBe('')
    expect(idle.filter(({ socket }) => socket.destroyed)).toHaveLength(1)
  })

  it('hold at most 8 connections of one client, and make room again', async () => {
    const held = await Promise.all(Array.from({ length: 8 }, agent))
    for (const peer of held) expect(peer.heard()).toContain('hello_response')
    const ninth = await agent()
    expect(ninth.heard()).toContain('"BUSY"')
    await ninth.closed
    expect((await person()).heard()).toContain('hello_response')
    held[0]?.socket.destroy()
    await sleep(100)
    expect((await agent()).heard()).toContain('hello_response')
  })

  it('hold 64 MiB of unfinished lines together, and hang up on who holds most', async () => {
    const small = await agent()
    small.socket.write('x'.repeat(1024))
    const big = await Promise.all([agent(), agent(), agent()])
    for (const peer of big) peer.socket.write(Buffer.alloc(22 * 1024 * 1024, 'x'))
    await Promise.race(big.map(({ closed }) => closed))
    expect(big.filter(({ socket }) => socket.destroyed)).toHaveLength(1)
    expect(small.socket.destroyed).toBe(false)
  })
})

it('a connection that falls silent inside a line is hung up on', async () => {
  const server = createServer((socket) => {
    new Connection(
      socket,
      {
        authenticate: ({ client }) => ({ client, person: false }),
        helloResponse: (request_id) => ({ kind: 'hello_response', request_id }),
        handle: () => Promise.resolve({}),
        onClosed: () => undefined,
      },
      { ...CONNECTION_LIMITS, lineSilenceMs: 300 },
      new HeldLines(),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onCleanup(() => void server.close())
  const { port } = server.address() as AddressInfo
  const between = await hello(connect(port), 'a', 't')
  const inside = await hello(connect(port), 'a', 't')
  inside.socket.write('{"kind":')
  await inside.closed
  expect(inside.heard()).toContain('The rest of a line did not come.')
  expect(between.socket.destroyed, 'silence between lines is fine').toBe(false)
})
