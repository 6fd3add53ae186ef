import { randomUUID } from 'node:crypto'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import type { App } from '../app.ts'
import type { UiMessage } from '../protocol/index.ts'
import { onCleanup, ready, scriptedApp, until } from '../testing/fixture.ts'
import { PageSession, type PageTransport } from './index.ts'

let app: App
beforeEach(async () => {
  app = scriptedApp({ autoStart: false })
  await app.start()
})

function page() {
  const heard: UiMessage[] = []
  const transport = {
    unsentBytes: 0,
    dropped: 0,
    send: (message: UiMessage) => void heard.push(message),
    drop: () => void (transport.dropped += 1),
  } satisfies PageTransport & { dropped: number }
  const session = new PageSession(app, transport)
  onCleanup(() => session.close())
  const states = (): string[] => heard.flatMap((m) => (m.type === 'snapshot' ? [m.snapshot.state] : []))
  const replies = () => heard.filter((message) => message.type === 'reply')
  return { session, transport, heard, states, replies }
}

const up = { action: 'start' as const }
const run = (tool: string) => ({
  action: 'run' as const,
  tool,
  params: { text: 'said' },
  deadline_ms: 60_000,
})

describe('a page that was let in', () => {
  it('hears the snapshot of now, the later ones, and the reply to what it asked', async () => {
    const { session, states, replies } = page()
    expect(states()).toEqual(['stopped'])
    await session.answer({ id: 7, ...up })
    expect(replies()).toEqual([{ type: 'reply', id: 7, ok: true }])
    await until(app, () => states().at(-1) === 'ready')
  })

  it('hears no snapshots while it is paused, and the newest when it goes on', async () => {
    const { session, states } = page()
    session.pause()
    await app.up()
    await ready(app)
    expect(states()).toEqual(['stopped'])
    session.resume()
    expect(states()).toEqual(['stopped', 'ready'])
    session.resume()
    expect(states()).toEqual(['stopped', 'ready'])
  })

  it('still hears the output of what it runs while it is paused', async () => {
    const { session, heard } = page()
    await app.up()
    session.pause()
    const command_id = randomUUID()
    await session.answer({ id: 1, command_id, ...run('echo') })
    expect(heard).toContainEqual(expect.objectContaining({ type: 'output', command_id }))
  })

  it('gets the newest snapshot late when it reads slowly, and is dropped when it does not read', async () => {
    const { session, transport, states } = page()
    transport.unsentBytes = 2 * 1024 * 1024
    await app.up()
    await ready(app)
    expect(states()).toEqual(['stopped'])
    transport.unsentBytes = 0
    await vi.waitFor(() => expect(states().length).toBeGreaterThan(1), 20_000)
    expect(states().at(-1)).toBe('ready')
    transport.unsentBytes = 17 * 1024 * 1024
    await session.answer({ id: 1, action: 'cancel', command_id: randomUUID() })
    expect(transport.dropped).toBe(1)
  })

  it('is told BUSY when it asks too much at once', async () => {
    const { session, replies } = page()
    await app.up()
    const asked = Array.from({ length: 17 }, (_, id) => session.answer({ id, ...run('hang') }))
    await asked[16]
    expect(replies()).toEqual([
      expect.objectContaining({ id: 16, ok: false, error: expect.objectContaining({ code: 'BUSY' }) }),
    ])
    session.close()
    await Promise.all(asked)
  })

  it('hears nothing more once it is closed, and what it had running is cancelled', async () => {
    const { session, heard } = page()
    await app.up()
    const running = session.answer({ id: 1, ...run('hang') })
    await until(app, ({ state }) => state === 'dispatching')
    session.close()
    session.close()
    const before = heard.length
    await running
    session.resume()
    expect(heard).toHaveLength(before)
  })
})
