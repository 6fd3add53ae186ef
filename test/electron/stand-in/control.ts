import type { standInElectron } from './electron.ts'

type StandIn = ReturnType<typeof standInElectron>

/** What a test can do to the app from outside, and see of it. Everything here is plain data. */
export function control({ electron, world, records, tray, trays, bounds, pointer }: StandIn) {
  const windowOf = (kind: string) => {
    const found = world.windows.find(({ options }) =>
      options.webPreferences?.additionalArguments?.some((argument) => argument.endsWith(`=${kind}`)),
    )
    if (found === undefined) throw new Error(`there is no ${kind} window`)
    return found
  }
  return {
    tray: () => ({
      alive: tray.alive,
      image: tray.image,
      tooltip: tray.tooltip,
      menu: tray.menu?.items.map(({ label }) => label) ?? [],
    }),
    windows: () =>
      world.windows.map((window) => ({
        kind: window.options.webPreferences?.additionalArguments?.[0]?.split('=')[1],
        visible: window.isVisible(),
        bounds: window.bounds,
        webPreferences: { ...window.options.webPreferences, preload: undefined },
      })),
    records: (what: string) => records.filter((each) => each.what === what).map(({ detail }) => detail),
    sandboxed: () => world.app.sandboxed,
    clickTray: () => void trays[0]?.emit('click'),
    clickMenu: (id: string) => {
      const item = tray.menu?.items.find((each) => each.id === id)
      if (item?.enabled !== true) throw new Error(`there is no ${id} in the menu that can be clicked`)
      item.click()
    },
    /** The focus goes elsewhere, with the pointer far from the icon. */
    blur: (kind: string) => {
      Object.assign(pointer, { x: 5, y: 500 })
      windowOf(kind).emit('blur')
    },
    /** A click as it comes: first the popover loses the focus to the icon, then the icon hears of it. */
    pressTray: () => {
      Object.assign(pointer, { x: bounds.x + 2, y: 2 })
      windowOf('popover').emit('blur')
      trays[0]?.emit('click')
    },
    moveTray: (x: number) => {
      bounds.x = x
      electron.screen.emit('display-metrics-changed')
    },
    darkPanel: (dark: boolean) => {
      electron.nativeTheme.shouldUseDarkColors = dark
      electron.nativeTheme.emit('updated')
    },
    power: (event: string) => void electron.powerMonitor.emit(event),
    quit: () => world.app.quit(),
    activate: () => void world.app.emit('activate'),
    closeWindow: (kind: string) => windowOf(kind).close(),
    crashRenderer: (kind: string) => windowOf(kind).webContents.crash(),
    surprise: () => void setImmediate(() => Promise.reject(new Error('nobody caught this'))),
    scheme: async (url: string, method?: string) => {
      const answer = await world.session.fetch(url, method)
      if (answer === null) return null
      return { status: answer.status, headers: Object.fromEntries(answer.headers), body: await answer.text() }
    },
    /** A message that seems to come from `window`, from a frame that is not its page. */
    foreignMessage: (
      kind: string,
      from: 'gone' | 'elsewhere' | 'below' | 'another',
      channel: string,
      args: unknown[],
    ) => {
      const { webContents: sender } = windowOf(kind)
      const main = sender.mainFrame
      const url = main.url
      if (from === 'elsewhere') {
        Object.assign(main, { url: 'https://example.com/' })
        world.ipcMain.emit(channel, { sender, senderFrame: main }, ...args)
        Object.assign(main, { url })
        return
      }
      const frames = { gone: null, below: { url, parent: main }, another: { url, parent: null } }
      world.ipcMain.emit(channel, { sender, senderFrame: frames[from] }, ...args)
    },
    foreignInvoke: (kind: string, channel: string, args: unknown[]) => {
      const { webContents: sender } = windowOf(kind)
      return world.ipcMain.invoked(channel, { sender, senderFrame: null }, args)
    },
    /** What a page would be granted, asked in each of the ways that Electron asks. */
    granted: async (permission: string, requestingUrl: string) => {
      const { setPermissionRequestHandler: request, setPermissionCheckHandler: check } =
        world.session.handlers
      const asked = await new Promise<boolean>((resolve) =>
        request?.({} as never, permission as never, resolve, { requestingUrl, isMainFrame: true } as never),
      )
      const checked = check?.(null, permission as never, requestingUrl, { isMainFrame: true } as never)
      return { asked, checked }
    },
    devices: () => world.session.handlers.setDevicePermissionHandler?.({} as never),
    redirect: (kind: string, url: string) => {
      let prevented = false
      windowOf(kind).webContents.emit('will-redirect', { url, preventDefault: () => (prevented = true) })
      return prevented
    },
    webview: (kind: string) => {
      let prevented = false
      windowOf(kind).webContents.emit('will-attach-webview', { preventDefault: () => (prevented = true) })
      return prevented
    },
    env: () => Object.keys(process.env).filter((name) => name.startsWith('BSM_')),
  }
}
export type Control = ReturnType<typeof control>
