import { EventEmitter } from 'node:events'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BrowserContext } from 'playwright-core'
import { cloned, preventable, type StandInBrowserWindow } from './windows.ts'

/** What is outside of the app, for one run of the stand-in: its windows, its session, what was done to it. */
export interface World {
  readonly context: Promise<BrowserContext>
  readonly windows: StandInBrowserWindow[]
  readonly app: StandInApp
  readonly ipcMain: StandInIpcMain
  readonly session: StandInSession
  record(what: string, detail: string): void
}

interface Place {
  readonly appPath: string
  readonly packaged: boolean
  /** Called before the process ends. */
  readonly leave: () => Promise<void>
}

type AppPart = Pick<
  Electron.App,
  | 'enableSandbox'
  | 'isPackaged'
  | 'name'
  | 'getVersion'
  | 'getAppPath'
  | 'setPath'
  | 'requestSingleInstanceLock'
  | 'whenReady'
  | 'quit'
  | 'exit'
  | 'setAboutPanelOptions'
  | 'showAboutPanel'
>

/** Electron's `app`, for one process. A second process of the same user data finds the first and tells it. */
export class StandInApp extends EventEmitter implements AppPart {
  readonly isPackaged: boolean
  name = 'Brainstorm Sandbox'
  readonly #place: Place
  readonly #record: World['record']
  #userData = ''
  #lock: string | null = null
  ready = false
  sandboxed = false
  #ending = false
  readonly #whenReady: Promise<void>

  constructor(place: Place, record: World['record']) {
    super()
    this.#place = place
    this.#record = record
    this.isPackaged = place.packaged
    this.#whenReady = new Promise((resolve) =>
      setImmediate(() => {
        this.ready = true
        this.emit('ready')
        resolve()
      }),
    )
    process.on('SIGUSR2', () => this.emit('second-instance', {}, [], '/', null))
  }

  enableSandbox(): void {
    if (this.ready) throw new Error('app.enableSandbox() can only be called before app is ready')
    this.sandboxed = true
  }

  getVersion(): string {
    return (
      JSON.parse(readFileSync(join(this.#place.appPath, 'package.json'), 'utf8')) as { version: string }
    ).version
  }

  getAppPath(): string {
    return this.#place.appPath
  }

  setPath(name: string, path: string): void {
    if (name !== 'userData') throw new Error(`Failed to set path '${name}'`)
    this.#userData = path
  }

  requestSingleInstanceLock(): boolean {
    mkdirSync(this.#userData, { recursive: true })
    const path = join(this.#userData, 'stand-in.lock')
    try {
      writeFileSync(path, String(process.pid), { flag: 'wx' })
    } catch {
      try {
        process.kill(Number(readFileSync(path, 'utf8')), 'SIGUSR2')
        return false
      } catch {
        // Its owner is gone.
        writeFileSync(path, String(process.pid))
      }
    }
    this.#lock = path
    return true
  }

  whenReady(): Promise<void> {
    return this.#whenReady
  }

  quit(): void {
    const event = preventable({})
    this.emit('before-quit', event)
    if (!event.defaultPrevented) this.exit(0)
  }

  exit(code = 0): void {
    if (this.#ending) return
    this.#ending = true
    if (this.#lock !== null) rmSync(this.#lock, { force: true })
    void this.#place.leave().finally(() => process.exit(code))
  }

  setAboutPanelOptions(options: Electron.AboutPanelOptionsOptions): void {
    this.#record('about', options.credits ?? '')
  }

  showAboutPanel(): void {
    this.#record('about panel', 'shown')
  }
}

type Answer = { ok: true; value: unknown } | { ok: false; error: string }

export class StandInIpcMain extends EventEmitter implements Pick<Electron.IpcMain, 'handle'> {
  readonly #handlers = new Map<string, (event: Electron.IpcMainInvokeEvent, ...args: unknown[]) => unknown>()

  handle(
    channel: string,
    handler: (event: Electron.IpcMainInvokeEvent, ...args: unknown[]) => unknown,
  ): void {
    if (this.#handlers.has(channel))
      throw new Error(`Attempted to register a second handler for '${channel}'`)
    this.#handlers.set(channel, handler)
  }

  async invoked(channel: string, event: object, args: unknown[]): Promise<Answer> {
    const handler = this.#handlers.get(channel)
    if (handler === undefined) return { ok: false, error: `No handler registered for '${channel}'` }
    try {
      return { ok: true, value: cloned(await handler(event as Electron.IpcMainInvokeEvent, ...args)) }
    } catch (error) {
      return { ok: false, error: `Error invoking remote method '${channel}': ${String(error)}` }
    }
  }
}

type Handlers = {
  [
    K in
      | 'setPermissionRequestHandler'
      | 'setPermissionCheckHandler'
      | 'setDevicePermissionHandler'
      | 'setDisplayMediaRequestHandler'
      | 'setUSBProtectedClassesHandler'
      | 'setBluetoothPairingHandler'
  ]?: Parameters<Electron.Session[K]>[0]
}
type BeforeRequest = (
  details: Electron.OnBeforeRequestListenerDetails,
  callback: (response: Electron.CallbackResponse) => void,
) => void

/** Electron's default session: it keeps what was decided, and asks it as Electron would. */
export class StandInSession extends EventEmitter {
  readonly handlers: Handlers = {}
  #filter: BeforeRequest | null = null
  readonly #schemes = new Map<string, (request: Request) => Response | Promise<Response>>()

  readonly setPermissionRequestHandler = this.#keep('setPermissionRequestHandler')
  readonly setPermissionCheckHandler = this.#keep('setPermissionCheckHandler')
  readonly setDevicePermissionHandler = this.#keep('setDevicePermissionHandler')
  readonly setDisplayMediaRequestHandler = this.#keep('setDisplayMediaRequestHandler')
  readonly setUSBProtectedClassesHandler = this.#keep('setUSBProtectedClassesHandler')
  readonly setBluetoothPairingHandler = this.#keep('setBluetoothPairingHandler')

  readonly webRequest = {
    onBeforeRequest: (listener: BeforeRequest): void => void (this.#filter = listener),
  }
  readonly protocol = {
    handle: (scheme: string, handler: (request: Request) => Response | Promise<Response>): void =>
      void this.#schemes.set(scheme, handler),
  }

  /** What the network stack would do; null when the request is refused, and nothing of it ever leaves. */
  async fetch(url: string, method = 'GET'): Promise<Response | null> {
    const cancelled = await new Promise<boolean>((resolve) => {
      if (this.#filter === null) return resolve(false)
      this.#filter({ url, method } as Electron.OnBeforeRequestListenerDetails, ({ cancel }) =>
        resolve(cancel === true),
      )
    })
    const handler = this.#schemes.get(url.split(':', 1)[0] ?? '')
    if (cancelled || handler === undefined) return null
    // Node's Request parses a URL as Chromium does; what is left unparsed is passed on as it came.
    const request = new Request(url, { method })
    Object.defineProperty(request, 'url', { value: url })
    return handler(request)
  }

  #keep<K extends keyof Handlers>(name: K): (handler: NonNullable<Handlers[K]>) => void {
    return (handler) => void (this.handlers[name] = handler)
  }
}
