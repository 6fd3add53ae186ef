import { app, type BrowserWindowConstructorOptions } from 'electron'
import { PageWindow } from './page-window.ts'

type Parts = Omit<ConstructorParameters<typeof PageWindow>[0], 'kind' | 'window' | 'onCreated' | 'onRebuilt'>

const WINDOW: BrowserWindowConstructorOptions = {
  width: 960,
  height: 720,
  minWidth: 480,
  minHeight: 400,
  title: 'Brainstorm Sandbox',
  fullscreenable: false,
  autoHideMenuBar: true,
}

/** An ordinary window. While it is open the app is an ordinary app: it can be switched to with Command-Tab. */
export class SettingsWindow {
  readonly page: PageWindow

  constructor(parts: Parts) {
    this.page = new PageWindow({
      ...parts,
      kind: 'settings',
      window: WINDOW,
      onCreated: (window) => {
        window.on('minimize', () => this.page.setVisible(false))
        window.on('restore', () => this.page.setVisible(true))
        window.on('closed', () => setPolicy('accessory'))
      },
      onRebuilt: () => this.show(),
    })
  }

  show(): void {
    const window = this.page.open()
    setPolicy('regular')
    window.show()
    window.focus()
    this.page.setVisible(true)
  }
}

function setPolicy(policy: 'regular' | 'accessory'): void {
  if (process.platform === 'darwin') app.setActivationPolicy(policy)
}
