import { EventEmitter } from 'node:events'
import { deserialize, serialize } from 'node:v8'
import type { BrowserWindowConstructorOptions, Rectangle, WebFrameMain } from 'electron'
import type { Route } from 'playwright-core'
import { RealPage, toHttps, toOwn } from './page.ts'
import type { World } from './world.ts'

/** As IPC copies it: what the structured clone algorithm refuses is refused here too. */
export const cloned = <T>(value: T): T => deserialize(serialize(value)) as T

type Frame = { url: string; parent: Frame | null }

/** An event whose default can be prevented, with whatever else it carries. */
export function preventable<T extends object>(
  fields: T,
): T & { defaultPrevented: boolean; preventDefault(): void } {
  const event = {
    ...fields,
    defaultPrevented: false,
    preventDefault: () => {
      event.defaultPrevented = true
    },
  }
  return event
}

/** Electron's web contents, on a real page. */
export class StandInWebContents
  extends EventEmitter
  implements Pick<Electron.WebContents, 'send' | 'focus' | 'isDevToolsFocused' | 'setWindowOpenHandler'>
{
  readonly mainFrame = { url: '', parent: null } as Frame as WebFrameMain & Frame
  readonly #world: World
  readonly #ready: Promise<RealPage>
  real: RealPage | null = null
  #openHandler: Parameters<Electron.WebContents['setWindowOpenHandler']>[0] | null = null
  #loading = false
  #gone = false
  #shown = false
  /** Messages arrive in the order in which they were sent. */
  #line: Promise<unknown> = Promise.resolve()

  constructor(world: World, { preload, additionalArguments }: Electron.WebPreferences) {
    super()
    this.#world = world
    this.#ready = world.context.then((context) =>
      RealPage.open(context, preload ?? '', ['electron', ...(additionalArguments ?? [])], {
        onIpc: (message) => void this.#heard(message),
        onCrash: () => this.#crashed('crashed', 5),
        onRequest: (route) => this.#requested(route),
      }),
    )
    this.#ready.catch(() => undefined)
  }

  async load(url: string): Promise<void> {
    const real = (this.real = await this.#ready)
    if (this.#gone) return void (await real.page.close())
    real.page.on('popup', (popup) => {
      const verdict = this.#openHandler?.({ url: toOwn(popup.url()) } as Electron.HandlerDetails)
      this.#world.record('window.open', verdict?.action ?? 'allow')
      void popup.close().catch(() => undefined)
    })
    await real.show(this.#shown)
    this.#loading = true
    await real.page.goto(toHttps(url)).catch((error: unknown) => {
      if (!this.#gone) throw error
    })
  }

  /** With its window. */
  show(shown: boolean): void {
    this.#shown = shown
    void this.real?.show(shown)
  }

  send(channel: string, ...args: unknown[]): void {
    const copy = cloned(args)
    this.#line = this.#line.then(() => this.real?.deliver(channel, copy))
  }

  focus(): void {
    this.#world.record('focus', 'web contents')
  }

  isDevToolsFocused(): boolean {
    return false
  }

  setWindowOpenHandler(handler: Parameters<Electron.WebContents['setWindowOpenHandler']>[0]): void {
    this.#openHandler = handler
  }

  crash(): void {
    void this.real?.crash()
  }

  #crashed(reason: string, exitCode: number): void {
    if (this.#gone) return
    this.emit('render-process-gone', {}, { reason, exitCode })
    this.#world.app.emit('render-process-gone', {}, this, { reason, exitCode })
  }

  async close(): Promise<void> {
    this.#gone = true
    await this.real?.page.close().catch(() => undefined)
  }

  async #heard(message: { kind: string; id?: number; channel: string; args: unknown[] }): Promise<void> {
    const args = cloned(message.args)
    const event = { sender: this, senderFrame: this.mainFrame }
    if (message.kind === 'send') return void this.#world.ipcMain.emit(message.channel, event, ...args)
    const answer = await this.#world.ipcMain.invoked(message.channel, event, args)
    await this.real?.answer(message.id ?? 0, answer)
  }

  /** A request of the page: a navigation first asks whoever listens, then the session's filter, then the scheme. */
  async #requested(route: Route): Promise<void> {
    const request = route.request()
    const url = toOwn(request.url())
    const frame = request.isNavigationRequest() ? request.frame() : null
    if (frame !== null) {
      const isMainFrame = frame.parentFrame() === null
      if (!(isMainFrame && this.#loading)) {
        const asked = preventable({ url, isMainFrame, isSameDocument: false })
        this.emit('will-frame-navigate', asked)
        if (isMainFrame && !asked.defaultPrevented) this.emit('will-navigate', asked)
        if (asked.defaultPrevented) {
          this.#world.record('navigation refused', url)
          return route.abort('aborted')
        }
      }
      if (isMainFrame) {
        this.#loading = false
        this.mainFrame.url = url
        this.emit('did-start-navigation', { url, isMainFrame, isSameDocument: false })
      }
    }
    const answer = await this.#world.session.fetch(url, request.method())
    if (answer === null) {
      this.#world.record('request refused', url)
      return route.abort('blockedbyclient')
    }
    await route.fulfill({
      status: answer.status,
      headers: Object.fromEntries(answer.headers),
      body: Buffer.from(await answer.arrayBuffer()),
    })
  }
}

/** Electron's window: what was asked of it is kept, and its page is real. */
export class StandInBrowserWindow
  extends EventEmitter
  implements
    Pick<
      Electron.BrowserWindow,
      | 'show'
      | 'hide'
      | 'focus'
      | 'destroy'
      | 'isDestroyed'
      | 'loadURL'
      | 'setBounds'
      | 'setAlwaysOnTop'
      | 'isVisible'
      | 'close'
    >
{
  readonly options: BrowserWindowConstructorOptions
  readonly webContents: Electron.WebContents & StandInWebContents
  bounds: Partial<Rectangle>
  readonly #world: World
  #visible = false
  #destroyed = false

  constructor(world: World, options: BrowserWindowConstructorOptions) {
    super()
    this.#world = world
    this.options = options
    this.bounds = { width: options.width ?? 800, height: options.height ?? 600 }
    const contents = new StandInWebContents(world, options.webPreferences ?? {})
    this.webContents = contents as unknown as Electron.WebContents & StandInWebContents
    this.#visible = options.show !== false
    world.windows.push(this)
    world.app.emit('web-contents-created', {}, contents)
  }

  loadURL(url: string): Promise<void> {
    return this.webContents.load(url)
  }

  show(): void {
    this.#visible = true
    this.webContents.show(true)
    this.emit('show')
  }

  hide(): void {
    this.#visible = false
    this.webContents.show(false)
    this.emit('hide')
  }

  focus(): void {
    this.emit('focus')
  }

  isVisible(): boolean {
    return this.#visible
  }

  setBounds(bounds: Partial<Rectangle>): void {
    for (const value of Object.values(bounds))
      if (!Number.isInteger(value))
        throw new TypeError('Error processing argument at index 0, conversion failure')
    this.bounds = { ...this.bounds, ...bounds }
  }

  setAlwaysOnTop(flag: boolean, level?: string): void {
    this.#world.record('always on top', `${flag} ${level}`)
  }

  close(): void {
    const event = preventable({})
    this.emit('close', event)
    if (!event.defaultPrevented) this.destroy()
  }

  destroy(): void {
    if (this.#destroyed) return
    this.#destroyed = true
    this.#visible = false
    this.#world.windows.splice(this.#world.windows.indexOf(this), 1)
    void this.webContents.close()
    this.emit('closed')
    if (this.#world.windows.length === 0) this.#world.app.emit('window-all-closed')
  }

  isDestroyed(): boolean {
    return this.#destroyed
  }
}
