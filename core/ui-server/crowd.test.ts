import { mkdirSync, writeFileSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { WebSocket } from 'ws'
import type { App } from '../app.ts'
import { onCleanup, scriptedApp, temporaryDirectory } from '../testing/fixture.ts'
import { serveUi, type UiServer } from './index.ts'

let app: App
let ui: UiServer

beforeEach(async () => {
  const directory = join(temporaryDirectory(), 'ui')
  mkdirSync(directory)
  writeFileSync(join(directory, 'index.html'), '<!doctype html>')
  app = scriptedApp({ autoStart: false })
  await app.start()
  ui = await serveUi(app, { directory })
})

function idle(): Socket {
  const socket = createConnection(ui.port, '127.0.0.1')
  socket.on('error', () => undefined)
  onCleanup(() => void socket.destroy())
  return socket
}

/** Does not end its side when the server ended its own. */
function halfOpen(): Socket {
  const socket = createConnection({ port: ui.port, host: '127.0.0.1', allowHalfOpen: true })
  socket.on('error', () => undefined)
  onCleanup(() => void socket.destroy())
  return socket
}

const heard = (socket: Socket): Promise<void> =>
  new Promise((resolve) => socket.once('data', () => resolve()))
const open = (socket: Socket): Promise<void> => new Promise((resolve) => socket.once('connect', resolve))
const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => socket.once('close', () => resolve()))

const UPGRADE = (): string =>
  [
    'GET /ws HTTP/1.1',
    `Host: 127.0.0.1:${ui.port}`,
    `Origin: http://127.0.0.1:${ui.port}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
    '\r\n',
  ].join('\r\n')

/** A page that signs in with a fresh token; resolves with whether it could. */
function signIn(): Promise<boolean> {
  const socket = new WebSocket(`ws://127.0.0.1:${ui.port}/ws`, {
    headers: { Origin: `http://127.0.0.1:${ui.port}` },
  })
  onCleanup(() => socket.terminate())
  socket.on('open', () =>
    socket.send(JSON.stringify({ action: 'auth', token: new URL(ui.mintUrl()).hash.replace('#token=', '') })),
  )
  return new Promise((resolve) => {
    socket.on('message', () => resolve(true))
    socket.on('error', () => resolve(false))
    socket.on('close', () => resolve(false))
  })
}

describe('strangers by the hundred', () => {
  it('who only connect shut nobody out', async () => {
    const crowd = Array.from({ length: 300 }, idle)
    await Promise.all(crowd.map(open))
    expect((await fetch(`http://127.0.0.1:${ui.port}/`)).status).toBe(200)
    expect(await signIn()).toBe(true)
  })

  it('who open WebSockets and do not sign in shut nobody out, and no page that did', async () => {
    expect(await signIn()).toBe(true)
    const crowd = Array.from({ length: 300 }, idle)
    await Promise.all(crowd.map(open))
    for (const socket of crowd) socket.write(UPGRADE())
    await sleep(300)
    expect(await signIn()).toBe(true)
  })

  it('are hung up on within seconds, also when they do not hang up themselves', async () => {
    const [silent, page] = [idle(), idle()]
    await Promise.all([open(silent), open(page)])
    page.resume()
    page.write(UPGRADE())
    const began = performance.now()
    await Promise.all([closed(silent), closed(page)])
    expect(performance.now() - began).toBeLessThan(10_000)
  })

  it('who send megabytes instead of signing in are hung up on at once', async () => {
    // Their 2 s to sign in do not pass.
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    onCleanup(() => void vi.useRealTimers())
    const stranger = idle()
    await open(stranger)
    stranger.resume()
    stranger.write(UPGRADE())
    // The head of a binary frame of 1 MiB, and then not all of it.
    stranger.write(Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0]))
    stranger.write(Buffer.alloc(512 * 1024))
    await closed(stranger)
  })

  it('who were refused and keep their side open do not keep the app from stopping', async () => {
    const [refused, unfinished] = [halfOpen(), halfOpen()]
    await Promise.all([open(refused), open(unfinished)])
    refused.write(UPGRADE().replace('/ws', '/elsewhere'))
    unfinished.write(UPGRADE().slice(0, 40))
    await heard(refused)
    await app.stop()
  })
})
