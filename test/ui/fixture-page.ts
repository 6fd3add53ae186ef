import { readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import type { Browser, BrowserContext, BrowserContextOptions, Page, WebSocketRoute } from 'playwright-core'
import {
  UiRequest,
  type AppSnapshot,
  type UiMessage,
  type WindowKind,
  type WireError,
} from '../../core/protocol/index.ts'
import { securityHeaders } from '../../core/ui-server/headers.ts'
import * as answers from '../../renderer/fixtures/answers.ts'
import { NOW } from '../../renderer/fixtures/reports.ts'
import { repository } from '../support/image.ts'

/** The port is no server's: every request is answered here. */
const PORT = 49_152
const ORIGIN = `http://127.0.0.1:${PORT}`
const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

type Request = Exclude<UiRequest, { action: 'auth' }>
/** An answer, an error, or null for an app that keeps silent. */
export type Answering = (request: Request) => { result?: unknown } | { error: WireError } | null

/** What a fixture's app answers, unless a test has its own. */
export const usualAnswers: Answering = (request) => {
  switch (request.action) {
    case 'settings':
      return { result: { ...answers.settings, settings: { ...answers.settings.settings, ...request.set } } }
    case 'clients':
      return {
        result: request.what.do === 'add' ? { ...answers.clients, token: answers.TOKEN } : answers.clients,
      }
    case 'logs': {
      const page = answers.logs[request.source]
      return { result: request.after === undefined ? page : { ...page, lines: [], start: null } }
    }
    case 'diagnose':
      return { result: answers.diagnosis }
    case 'run':
    case 'verify_evidence':
      return null
    default:
      return {}
  }
}

/** The usual answers, but for one action: an error, or none at all. */
export const failing =
  (action: Request['action'], error: WireError): Answering =>
  (request) =>
    request.action === action ? { error } : usualAnswers(request)
export const silent =
  (action: Request['action']): Answering =>
  (request) =>
    request.action === action ? null : usualAnswers(request)

/** What the preload script puts into the app's own windows, over the same scripted socket. */
const windowBridge = (kind: WindowKind): string => `{
  let socket
  const login = { status: 'enabled', message: 'It starts in the menu bar, without a window.' }
  window.asked = []
  window.bsm = {
    window: '${kind}',
    send: (request) => socket.send(JSON.stringify(request)),
    subscribe: (listener) => {
      socket = new WebSocket('ws://127.0.0.1:${PORT}/ws')
      socket.onopen = () => socket.send(JSON.stringify({ action: 'auth', token: 'fixture' }))
      socket.onmessage = ({ data }) => listener(data)
      return () => socket.close()
    },
    hide: () => window.asked.push('hide'),
    openSettings: () => window.asked.push('openSettings'),
    loginItem: async () => login,
    setLoginItem: async (enabled) => Object.assign(login, { status: enabled ? 'enabled' : 'disabled' }),
    openLoginItems: () => undefined,
    quit: () => undefined,
  }
}`

/**
 * The built page under its production headers, with an app that says what a fixture says: for states that a VM
 * cannot be brought to quickly. Everything of the page is real; the other end of its WebSocket is scripted.
 */
export class FixturePage {
  readonly context: BrowserContext
  readonly page: Page
  readonly requests: Request[] = []
  #socket: WebSocketRoute | null = null
  #isLost = false

  private constructor(context: BrowserContext, page: Page) {
    this.context = context
    this.page = page
  }

  static async open(
    browser: Browser,
    snapshot: AppSnapshot,
    options: BrowserContextOptions & { answer?: Answering; init?: string; window?: WindowKind } = {},
  ): Promise<FixturePage> {
    const { answer = usualAnswers, init = '', window, ...rest } = options
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...rest })
    const page = await context.newPage()
    page.setDefaultTimeout(30_000)
    const fixture = new FixturePage(context, page)
    await page.clock.setFixedTime(NOW)
    await page.addInitScript(init)
    if (window !== undefined) await page.addInitScript(windowBridge(window))
    await page.route(`${ORIGIN}/**`, async (route) => {
      const path = new URL(route.request().url()).pathname
      const file = path === '/' ? '/index.html' : path
      await route.fulfill({
        body: readFileSync(join(repository, 'dist/ui', file)),
        headers: {
          ...securityHeaders(`ws://127.0.0.1:${PORT}`),
          'Content-Type': TYPES[extname(file)] ?? 'text/plain',
        },
      })
    })
    await page.routeWebSocket(`ws://127.0.0.1:${PORT}/ws`, (socket) => {
      if (fixture.#isLost) return void socket.close({ code: 1001 })
      fixture.#socket = socket
      socket.onMessage((data) => fixture.#heard(UiRequest.parse(JSON.parse(String(data))), snapshot, answer))
    })
    await page.goto(`${ORIGIN}/#token=fixture`)
    return fixture
  }

  send(message: UiMessage): void {
    this.#socket?.send(JSON.stringify(message))
  }

  show(snapshot: AppSnapshot): void {
    this.send({ type: 'snapshot', snapshot })
  }

  /** For good: the page tries again, and nobody is there. */
  async loseConnection(): Promise<void> {
    this.#isLost = true
    await this.#socket?.close({ code: 1001 })
  }

  #heard(request: UiRequest, snapshot: AppSnapshot, answer: Answering): void {
    if (request.action === 'auth') {
      this.send({ type: 'session', session: 'fixture' })
      return this.show(snapshot)
    }
    this.requests.push(request)
    const said = answer(request)
    if (said === null) return
    const { id } = request
    this.send(
      'error' in said
        ? { type: 'reply', id, ok: false, error: said.error }
        : { type: 'reply', id, ok: true, result: said.result as null },
    )
  }
}
