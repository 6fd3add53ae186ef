import { EventEmitter } from 'node:events'
import { existsSync } from 'node:fs'
import type * as RealElectron from 'electron'
import type { BrowserContext } from 'playwright-core'
import { StandInBrowserWindow } from './windows.ts'
import { StandInApp, StandInIpcMain, StandInSession, type World } from './world.ts'

interface Item {
  readonly id: string | undefined
  readonly label: string
  readonly enabled: boolean
  readonly checked: boolean
  readonly click: () => void
}

class StandInMenu {
  readonly items: readonly Item[]
  constructor(items: readonly Item[]) {
    this.items = items
  }
}

/** The module `electron`, as far as the app uses it. What it does outside of the app is recorded. */
export function standInElectron(
  context: Promise<BrowserContext>,
  place: ConstructorParameters<typeof StandInApp>[0],
) {
  const records: { what: string; detail: string }[] = []
  const record = (what: string, detail: string): void => void records.push({ what, detail })
  const world: World = {
    context,
    windows: [],
    app: new StandInApp(place, record),
    ipcMain: new StandInIpcMain(),
    session: new StandInSession(),
    record,
  }
  const tray = { image: '', tooltip: '', menu: null as StandInMenu | null, alive: false }
  const bounds = { x: 1000, y: 0, width: 24, height: 24 }
  const pointer = { x: 0, y: 0 }
  const trays: StandInTray[] = []

  class StandInTray
    extends EventEmitter
    implements Pick<Electron.Tray, 'setToolTip' | 'getBounds' | 'setIgnoreDoubleClickEvents' | 'destroy'>
  {
    constructor(image: { path: string }) {
      super()
      tray.alive = true
      trays.push(this)
      this.setImage(image)
    }
    setImage({ path }: { path: string }): void {
      tray.image = path.replace(/^.*\//, '')
      record('icon', tray.image)
    }
    setToolTip(text: string): void {
      tray.tooltip = text
      record('tooltip', text)
    }
    setContextMenu(menu: StandInMenu): void {
      tray.menu = menu
    }
    setIgnoreDoubleClickEvents(): void {
      record('tray', 'double clicks are ignored')
    }
    getBounds() {
      return bounds
    }
    destroy(): void {
      tray.alive = false
    }
  }

  const display = { workArea: { x: 0, y: 25, width: 1440, height: 875 } }
  const electron = {
    app: world.app,
    BrowserWindow: class extends StandInBrowserWindow {
      constructor(options: Electron.BrowserWindowConstructorOptions) {
        super(world, options)
      }
    },
    Tray: StandInTray,
    Menu: {
      buildFromTemplate: (template: Electron.MenuItemConstructorOptions[]): StandInMenu =>
        new StandInMenu(
          template.map(({ id, label = '', enabled = true, checked = false, click }) => ({
            id,
            label,
            enabled,
            checked,
            click: () => (click as (() => void) | undefined)?.(),
          })),
        ),
      setApplicationMenu: (): void => record('application menu', 'set'),
    },
    nativeImage: {
      createFromPath: (path: string) => {
        for (const file of [path, path.replace('.png', '@2x.png')])
          if (!existsSync(file)) throw new Error(`there is no ${file}`)
        return { path }
      },
    },
    nativeTheme: Object.assign(new EventEmitter(), { shouldUseDarkColors: false }),
    screen: Object.assign(new EventEmitter(), {
      getCursorScreenPoint: () => pointer,
      getDisplayMatching: () => display,
      getDisplayNearestPoint: () => display,
    }),
    powerMonitor: new EventEmitter(),
    crashReporter: { start: (options: object): void => record('crash reporter', JSON.stringify(options)) },
    dialog: {
      showErrorBox: (title: string, content: string): void => {
        record('error box', `${title}: ${content}`)
        process.stderr.write(`${title}: ${content}\n`)
      },
    },
    shell: { openExternal: async (url: string): Promise<void> => record('opened', url) },
    session: { defaultSession: world.session },
    ipcMain: world.ipcMain,
    protocol: {
      registerSchemesAsPrivileged: (schemes: Electron.CustomScheme[]): void => {
        if (world.app.ready)
          throw new Error('protocol.registerSchemesAsPrivileged should be called before app is ready')
        record('schemes', JSON.stringify(schemes))
      },
    },
  } satisfies Partial<Record<keyof typeof RealElectron, unknown>>
  return { electron, world, records, tray, trays, bounds, pointer }
}
