import { describe, expect, it } from 'vitest'
import type { App } from '../app.ts'
import {
  Bundle,
  ClientsAnswer,
  Diagnosis,
  LogPage,
  type PageRequest,
  SettingsView,
  type UiMessage,
} from '../protocol/index.ts'
import { onCleanup, ready, scriptedApp } from '../testing/fixture.ts'
import { PageSession } from './index.ts'

type Call = PageRequest extends infer R ? (R extends { id: number } ? Omit<R, 'id'> : never) : never

/** A page that keeps everything it was sent. */
function pageOf(app: App) {
  const messages: UiMessage[] = []
  const heard = new Set<() => void>()
  const session = new PageSession(app, {
    send: (message) => {
      messages.push(message)
      for (const look of heard) look()
    },
    unsentBytes: 0,
    drop: () => undefined,
  })
  onCleanup(() => session.close())
  let id = 0
  return {
    messages,
    count: (type: UiMessage['type']) => messages.filter((message) => message.type === type).length,
    until: (holds: () => boolean) =>
      new Promise<void>((resolve) => {
        const look = () => {
          if (!holds()) return
          heard.delete(look)
          resolve()
        }
        heard.add(look)
        look()
      }),
    ask: async (call: Call) => {
      id += 1
      await session.answer({ id, ...call } as PageRequest)
      const reply = messages.find((message) => message.type === 'reply' && message.id === id)
      if (reply?.type !== 'reply') throw new Error('no reply')
      return reply
    },
  }
}

async function started(options: Parameters<typeof scriptedApp>[0] = {}): Promise<App> {
  const app = scriptedApp({ autoStart: false, ...options })
  await app.start()
  return app
}

describe("a page's session", () => {
  it('sends no snapshot while nobody sees the page, and the newest when somebody does', async () => {
    const app = await started()
    const page = pageOf(app)
    await page.ask({ action: 'attend', seen: false })
    const before = page.count('snapshot')
    await app.up()
    await ready(app)
    expect(page.count('snapshot')).toBe(before)
    await page.ask({ action: 'attend', seen: true })
    const last = page.messages.findLast((message) => message.type === 'snapshot')
    expect(last?.type === 'snapshot' && last.snapshot.state).toBe('ready')
  })

  it('gives a client its token once, and takes it away again', async () => {
    const page = pageOf(await started())
    const added = ClientsAnswer.parse(
      (await page.ask({ action: 'clients', what: { do: 'add', name: 'codex' } })).result,
    )
    expect(added.token).toMatch(/^bsm_/)
    const listed = ClientsAnswer.parse((await page.ask({ action: 'clients', what: { do: 'list' } })).result)
    expect(listed.clients.map(({ name }) => name)).toEqual(['codex'])
    expect(listed.token).toBeUndefined()
    const revoked = await page.ask({ action: 'clients', what: { do: 'revoke', name: 'codex' } })
    expect(ClientsAnswer.parse(revoked.result).clients).toEqual([])
    expect((await page.ask({ action: 'clients', what: { do: 'revoke', name: 'codex' } })).error?.code).toBe(
      'BAD_REQUEST',
    )
  })

  it('shows settings with what they can be, and takes new ones', async () => {
    const app = await started()
    const page = pageOf(app)
    const before = SettingsView.parse((await page.ask({ action: 'settings' })).result)
    expect(before.images.map(({ recipe }) => recipe)).toEqual(['base'])
    expect(before.settings).toEqual(before.defaults)
    const set = { reset_target_fast_ms: 250, memory_mib: 768 }
    const after = SettingsView.parse((await page.ask({ action: 'settings', set })).result)
    expect(after.settings).toEqual({ ...before.defaults, ...set })
    expect(app.snapshot().reset_target_ms).toEqual({ fast_snapshot: 250, cold_boot: 5_000 })
  })

  it('tells that a log has grown, and only of the log that is followed', async () => {
    const app = await started()
    const page = pageOf(app)
    const end = LogPage.parse((await page.ask({ action: 'logs', source: 'audit' })).result).end
    await page.ask({ action: 'follow_log', source: 'audit' })
    app.logger.info('another log')
    app.clients.add('codex')
    await page.until(() => page.count('log_grew') > 0)
    expect(page.messages.filter(({ type }) => type === 'log_grew')).toEqual([
      { type: 'log_grew', source: 'audit' },
    ])
    const more = LogPage.parse(
      (await page.ask({ action: 'logs', source: 'audit', after: end ?? undefined })).result,
    )
    expect(more.lines.map(({ from }) => from)).toEqual(['client_added'])
    await page.ask({ action: 'follow_log', source: null })
  })

  it('finds what is wrong, and packs it', async () => {
    // Its preflight ends at once, with nothing said.
    const page = pageOf(await started({ helper: { command: process.execPath, args: ['-e', ''] } }))
    const diagnosis = Diagnosis.parse((await page.ask({ action: 'diagnose' })).result)
    expect(diagnosis.checks.map(({ id }) => id)).toContain('audit')
    const bundle = Bundle.parse((await page.ask({ action: 'bundle' })).result)
    expect(bundle.files.map(({ name }) => name)).toContain('checks.json')
    expect(Buffer.from(bundle.data_b64, 'base64').subarray(0, 2).toString()).toBe('PK')
  })
})
