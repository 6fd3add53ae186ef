import { BrowserWindow, type BrowserWindowConstructorOptions, type WebContents } from 'electron'
import { PageSession, RestartBudget, type App, type RestartLimits } from '../core/index.ts'
import {
  BsmError,
  parseStrictJson,
  UiRequest,
  type PageRequest,
  type UiMessage,
  type WindowKind,
} from '../core/protocol/index.ts'
import { CHANNEL, WINDOW_ARGUMENT } from './channels.ts'
import { webPreferences } from './hardening.ts'
import { PAGE_URL } from './trust.ts'

interface PageWindowOptions {
  readonly kind: WindowKind
  readonly engine: App
  readonly preload: string
  readonly window: BrowserWindowConstructorOptions
  /** Called with each new window, before it loads its page. */
  readonly onCreated: (window: BrowserWindow) => void
  /** A window that was visible when its renderer ended is here again. */
  readonly onRebuilt: () => void
  /** Its renderer kept ending: it stays away until a person opens it. */
  readonly onGaveUp: (error: BsmError) => void
}

/** How often a renderer may end before its window stays away. */
const LIMITS_OF_WINDOW: RestartLimits = {
  restarts: 3,
  windowMs: 60_000,
  firstDelayMs: 100,
  longestDelayMs: 2_000,
  stableMs: 60_000,
}
/** Characters of one request; the largest is a tool's parameters. */
const MAX_REQUEST = 4 * 1024 * 1024

/** One of our pages in a window of its own: its session with the engine, and what happens when its renderer ends. */
export class PageWindow {
  readonly #options: PageWindowOptions
  readonly #budget = new RestartBudget(LIMITS_OF_WINDOW)
  #window: BrowserWindow | null = null
  #session: PageSession | null = null
  #visible = false
  #since = 0
  /** Characters sent to the page, and taken by it. */
  #sent = 0
  #taken = 0
  #rebuild: NodeJS.Timeout | undefined

  constructor(options: PageWindowOptions) {
    this.#options = options
  }

  get kind(): WindowKind {
    return this.#options.kind
  }

  get current(): BrowserWindow | null {
    return this.#window
  }

  get visible(): boolean {
    return this.#visible
  }

  /** A person wants it: makes it if there is none, whatever went wrong before. */
  open(): BrowserWindow {
    if (this.#window !== null) return this.#window
    this.#budget.refill()
    return this.#create()
  }

  /** Tells the page's session whether anyone sees it. */
  setVisible(visible: boolean): void {
    this.#visible = visible
    if (visible) this.#session?.resume()
    else this.#session?.pause()
  }

  owns(contents: WebContents): boolean {
    return this.#window !== null && this.#window.webContents === contents
  }

  // ------------------------------------------------------------ what its page says

  /** The page listens: it gets a session with everything in it, in the place of the one before. */
  connected(): void {
    this.#endSession()
    const window = this.#window
    if (window === null) return
    const unsent = (): number => this.#sent - this.#taken
    const session = new PageSession(this.#options.engine, {
      send: (message) => this.#send(window, message),
      get unsentBytes() {
        return unsent()
      },
      drop: () => this.gone('it did not read what it was sent'),
    })
    this.#session = session
    if (!this.#visible) session.pause()
  }

  requested(text: string): void {
    const request = parseRequest(text)
    if (request.ok) return void this.#session?.answer(request.value)
    this.#options.engine.logger.warn(`A page asked for what there is not: ${request.error.message}`)
    const { id } = request
    if (id !== null && this.#window !== null)
      this.#send(this.#window, { type: 'reply', id, ok: false, error: request.error.toWire() })
  }

  taken(characters: number): void {
    this.#taken = Math.min(this.#sent, this.#taken + Math.max(0, characters))
  }

  // ------------------------------------------------------------ its life

  /** Its renderer ended, or has to: another takes its place, within limits. */
  gone(why: string): void {
    if (this.#window === null) return
    const { engine, kind, onRebuilt, onGaveUp } = this.#options
    const visible = this.#visible
    engine.logger.error(`The page of the ${kind} ended: ${why}.`)
    this.#discard()
    const inMs = this.#budget.spend(performance.now(), this.#since)
    if (inMs === null) return onGaveUp(keptEnding(kind, why))
    this.#rebuild = setTimeout(() => {
      this.#create()
      if (visible) onRebuilt()
    }, inMs)
  }

  /** For good; idempotent. */
  close(): void {
    this.#discard()
  }

  #create(): BrowserWindow {
    const { kind, preload, window: options, onCreated } = this.#options
    clearTimeout(this.#rebuild)
    const window = new BrowserWindow({
      ...options,
      show: false,
      webPreferences: webPreferences(preload, [`${WINDOW_ARGUMENT}${kind}`]),
    })
    this.#window = window
    this.#since = performance.now()
    window.webContents.on('did-start-navigation', ({ isMainFrame, isSameDocument }) => {
      if (isMainFrame && !isSameDocument) this.#endSession()
    })
    window.webContents.on('unresponsive', () => this.#window === window && this.gone('it hung'))
    window.on('closed', () => {
      if (this.#window === window) this.#discard()
    })
    onCreated(window)
    window.loadURL(PAGE_URL).catch((error: unknown) => {
      if (this.#window === window) this.gone(BsmError.from(error, 'app').message)
    })
    return window
  }

  #discard(): void {
    clearTimeout(this.#rebuild)
    this.#endSession()
    this.#visible = false
    const window = this.#window
    this.#window = null
    if (window !== null && !window.isDestroyed()) window.destroy()
  }

  #endSession(): void {
    this.#session?.close()
    this.#session = null
    this.#sent = 0
    this.#taken = 0
  }

  #send(window: BrowserWindow, message: UiMessage): void {
    if (this.#window !== window || window.isDestroyed()) return
    const text = JSON.stringify(message)
    this.#sent += text.length
    window.webContents.send(CHANNEL.message, text)
  }
}

type Parsed =
  | { readonly ok: true; readonly value: PageRequest }
  | { readonly ok: false; readonly error: BsmError; readonly id: number | null }

/** Whatever a page says is parsed as if it were a stranger's. */
function parseRequest(text: string): Parsed {
  const bad = (message: string, id: number | null = null): Parsed => ({
    ok: false,
    error: new BsmError('BAD_REQUEST', 'app', message),
    id,
  })
  if (text.length > MAX_REQUEST) return bad('It is too long.')
  let value: unknown
  try {
    value = parseStrictJson(text)
  } catch {
    return bad('It is not JSON.')
  }
  const parsed = UiRequest.safeParse(value)
  if (parsed.success && parsed.data.action !== 'auth') return { ok: true, value: parsed.data }
  const id = typeof value === 'object' && value !== null && 'id' in value ? value.id : null
  return bad('This request is not known here.', Number.isSafeInteger(id) ? (id as number) : null)
}

const keptEnding = (kind: WindowKind, why: string): BsmError =>
  new BsmError('INTERNAL_BUG', 'app', `The ${kind} kept ending and is not shown again. Last: ${why}.`, {
    nextStep: 'Open it again from the icon in the menu bar; if it goes on, restart the app.',
  })
