import { setTimeout as sleep } from 'node:timers/promises'
import { app, dialog, powerMonitor, session } from 'electron'
import { checkParts, createApp, Updates, type App } from '../core/index.ts'
import { BsmError, type Distribution, EXIT, exitCodeFor } from '../core/protocol/index.ts'
import { buildMenu, setApplicationMenu, type MenuActions } from './app-menu.ts'
import { confineSession } from './hardening.ts'
import { serveIpc } from './ipc.ts'
import { loginItem, openLoginItems, setLoginItem } from './login-item.ts'
import { plainLine } from './look.ts'
import { menuOf } from './menu.ts'
import type { PageWindow } from './page-window.ts'
import type { Parts } from './parts.ts'
import { Popover } from './popover.ts'
import { serveScheme } from './scheme.ts'
import { SettingsWindow } from './settings-window.ts'
import { TrayIcon } from './tray-icon.ts'

/** For the engine to stop its VM in order; its own ladder ends well before, with SIGKILL. */
const QUIT_WITHIN_MS = 30_000

interface ShellOptions {
  readonly parts: Parts
  /** What the app expects of its parts; null while it is developed. */
  readonly distribution: Distribution | null
  readonly engine: Omit<Parameters<typeof createApp>[0], 'version' | 'imageDir' | 'helper'>
}

/** The app around its engine: icon, windows, power, quitting. It decides nothing about the VM. */
export class Shell {
  readonly engine: App
  readonly #parts: Parts
  readonly #distribution: Distribution | null
  #updates = new Updates({ current: app.getVersion(), feed: null, stopApp: () => this.engine.stop() })
  #popover: Popover | null = null
  #settings: SettingsWindow | null = null
  #tray: TrayIcon | null = null
  /** It was to be shown before it could be. */
  #wanted = false
  #ending: Promise<never> | null = null

  constructor({ parts, distribution, engine }: ShellOptions) {
    this.#parts = parts
    this.#distribution = distribution
    const { imageDir, helper } = parts
    this.engine = createApp({
      ...engine,
      version: app.getVersion(),
      imageDir,
      helper,
      ...(distribution === null
        ? {}
        : {
            admit: (recipe: string) => checkParts({ distribution, helper: helper.command, imageDir, recipe }),
          }),
    })
  }

  /** Once Electron is ready. An app that cannot start says why, and ends. */
  async start(): Promise<void> {
    try {
      await this.engine.start()
    } catch (error) {
      const known = BsmError.from(error, 'app')
      tell(known)
      return app.exit(exitCodeFor(known.code))
    }
    await this.#prepareUpdates(this.#distribution?.update_feed ?? null)
    confineSession(session.defaultSession)
    serveScheme(session.defaultSession, this.#parts.ui, this.engine)
    const windowParts = { engine: this.engine, preload: this.#parts.preload, onGaveUp: tell }
    const popover = new Popover({ ...windowParts, icon: () => tray.bounds })
    const settings = new SettingsWindow(windowParts)
    this.#popover = popover
    this.#settings = settings
    const actions = this.#actions()
    const menu = () => buildMenu(menuOf(this.engine.snapshot(), loginItem(), this.#updates.state), actions)
    const tray = new TrayIcon(
      { images: this.#parts.trayImages, onClick: () => popover.toggle(), menu },
      this.engine.snapshot(),
    )
    this.#tray = tray
    this.engine.subscribeQuietly((snapshot) => tray.show(snapshot))
    setApplicationMenu(actions)
    serveIpc({
      engine: this.engine,
      windows: [popover.page, settings.page],
      hide: (window) => (window === popover.page ? popover.hide() : window.close()),
      openSettings: actions.settings,
      loginItem,
      setLoginItem,
      openLoginItems,
      quit: actions.quit,
    })
    this.#listen([popover.page, settings.page])
    if (this.#wanted) popover.show()
  }

  /** Somebody started the app once more, or clicked on it: here it is, or will be. */
  show(): void {
    if (this.#popover === null) this.#wanted = true
    else this.#popover.show()
  }

  /** Stops the VM within its bound and ends the process with `code`. Idempotent: the first code counts. */
  end(code: number): Promise<never> {
    this.#ending ??= this.#end(code)
    return this.#ending
  }

  async #end(code: number): Promise<never> {
    this.#popover?.page.close()
    this.#settings?.page.close()
    const stopped = this.engine.stop().then(
      () => true,
      (error: unknown) => void this.engine.logger.error(BsmError.from(error, 'app').message),
    )
    const inTime = await Promise.race([stopped, sleep(QUIT_WITHIN_MS, false)])
    this.#tray?.destroy()
    // What is left now ends with us: the helper's input closes, and its VM dies with it.
    app.exit(inTime === false ? EXIT.timedOut : code)
    return new Promise<never>(() => undefined)
  }

  #listen(windows: readonly PageWindow[]): void {
    const { logger } = this.engine
    app.on('render-process-gone', (_event, contents, { reason, exitCode }) =>
      windows.find((window) => window.owns(contents))?.gone(`${reason}, code ${exitCode}`),
    )
    app.on('child-process-gone', (_event, { type, reason, exitCode }) =>
      logger.error(`A process of Electron ended: ${type}, ${reason}, code ${exitCode}.`),
    )
    powerMonitor.on('suspend', () => {
      this.#popover?.hide()
      this.engine.machineSleeps()
    })
    powerMonitor.on('resume', () => void this.engine.machineWoke())
    powerMonitor.on('lock-screen', () => this.#popover?.hide())
    // Whatever happened behind the lock, the state that is shown next is a fresh one.
    powerMonitor.on('unlock-screen', () => void this.engine.status())
    powerMonitor.on('shutdown', () => void this.end(EXIT.ok))
    void this.engine.whenStopped.then(() => {
      // The update ends the app itself, once nothing of the VM runs.
      if (this.#updates.state.kind !== 'installing') void this.end(EXIT.ok)
    })
  }

  /** Only a build with a feed brings electron-updater to life, and it does nothing by itself. */
  async #prepareUpdates(feed: string | null): Promise<void> {
    if (feed === null) return
    const { updateFeed } = await import('./updates.ts')
    this.#updates = new Updates({
      current: app.getVersion(),
      feed: updateFeed(feed),
      stopApp: () => this.engine.stop(),
      onState: (state) => {
        this.#tray?.refreshMenu()
        if (state.kind === 'failed') tell(state.error)
      },
    })
  }

  /** The next step of an update: look for one, fetch it, or put it in place. */
  async #update(): Promise<void> {
    const { kind } = this.#updates.state
    if (kind === 'available') await this.#updates.download()
    else if (kind !== 'ready') await this.#updates.check()
    else if ((await this.#updates.install()).kind === 'failed') await this.end(EXIT.vmLifecycle)
  }

  #actions(): MenuActions {
    /** What goes wrong is in the state, which the icon and the popover show. */
    const quietly = (work: Promise<unknown>): void =>
      void work.catch((error: unknown) => this.engine.logger.warn(BsmError.from(error, 'app').message))
    return {
      open: () => this.show(),
      start: () => quietly(this.engine.up()),
      stop: () => quietly(this.engine.down()),
      reset: () => quietly(this.engine.reset('ui')),
      settings: () => {
        this.#popover?.hide()
        this.#settings?.show()
      },
      toggle_login: () => {
        setLoginItem(loginItem().status !== 'enabled')
        this.#tray?.refreshMenu()
      },
      open_login_items: openLoginItems,
      update: () => quietly(this.#update()),
      about: () => app.showAboutPanel(),
      quit: () => app.quit(),
    }
  }
}

/** A sentence and its next step, where there is no page to show them. */
export function tell(error: BsmError): void {
  const next = error.nextStep === undefined ? '' : `\n\n${plainLine(error.nextStep)}`
  dialog.showErrorBox('Brainstorm Sandbox', `${plainLine(error.message)}${next}`)
}
