import { mkdirSync, writeFileSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { onCleanup, scriptedApp, temporaryDirectory } from '../testing/fixture.ts'
import { serveUi, type UiServer } from './index.ts'

let ui: UiServer

beforeEach(async () => {
  const directory = join(temporaryDirectory(), 'ui')
  mkdirSync(directory)
  writeFileSync(join(directory, 'index.html'), '<!doctype html>')
  const app = scriptedApp({ autoStart: false })
  await app.start()
  ui = await serveUi(app, { directory })
})

function idle(): Socket {
  const socket = createConnection(ui.port, '127.0.0.1')
  socket.on('error', () => undefined)
  onCleanup(() => void socket.destroy())
  return socket
}

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
})
