import { screen, type BrowserWindow, type BrowserWindowConstructorOptions } from 'electron'
import { PageWindow } from './page-window.ts'
import { anchorOf, placePopover, POPOVER_SIZE, type Rect } from './position.ts'
import { isSameClick, type Blur } from './toggle.ts'

type Parts = Omit<
  ConstructorParameters<typeof PageWindow>[0],
  'kind' | 'window' | 'onCreated' | 'onRebuilt'
> & {
  /** Bounds of the icon. */
  readonly icon: () => Rect
}

const onMac = process.platform === 'darwin'

const WINDOW: BrowserWindowConstructorOptions = {
  ...POPOVER_SIZE,
  title: 'Brainstorm Sandbox',
  frame: false,
  resizable: false,
  movable: false,
  minimizable: false,
  maximizable: false,
  fullscreenable: false,
  skipTaskbar: true,
  ...(onMac
    ? { type: 'panel', vibrancy: 'popover' as const, visualEffectState: 'active' as const, transparent: true }
    : {}),
}

/** The window under the icon: made once, shown and hidden. */
export class Popover {
  readonly page: PageWindow
  readonly #icon: () => Rect
  #blur: Blur | null = null

  constructor({ icon, ...parts }: Parts) {
    this.#icon = icon
    this.page = new PageWindow({
      ...parts,
      kind: 'popover',
      window: WINDOW,
      onCreated: (window) => this.#prepare(window),
      onRebuilt: () => this.show(),
    })
    screen.on('display-metrics-changed', () => this.#place())
  }

  /** A click on the icon. */
  toggle(): void {
    if (this.page.visible) return this.hide()
    const blur = this.#blur
    this.#blur = null
    if (!isSameClick(blur, performance.now())) this.show()
  }

  show(): void {
    const window = this.page.open()
    this.#place()
    window.show()
    window.focus()
    window.webContents.focus()
    this.page.setVisible(true)
  }

  hide(): void {
    this.page.setVisible(false)
    this.page.current?.hide()
  }

  #prepare(window: BrowserWindow): void {
    window.setAlwaysOnTop(true, 'pop-up-menu')
    if (onMac) {
      // The app is a menu-bar app already: Electron need not make it one, which would flicker.
      window.setVisibleOnAllWorkspaces(true, { visibleOnFullScreen: true, skipTransformProcessType: true })
      window.setHiddenInMissionControl(true)
    }
    window.on('blur', () => this.#blurred(window))
    window.on('close', (event) => {
      // By a shortcut of the window manager: it is made once and kept.
      event.preventDefault()
      this.hide()
    })
  }

  /** The focus went elsewhere; to its own developer tools it may. */
  #blurred(window: BrowserWindow): void {
    if (!this.page.visible || window.webContents.isDevToolsFocused()) return
    this.#blur = { at: performance.now(), onIcon: this.#pointerOnIcon() }
    this.hide()
  }

  #pointerOnIcon(): boolean | null {
    const icon = anchorOf(this.#icon())
    if (icon === null) return null
    const { x, y } = screen.getCursorScreenPoint()
    return x >= icon.x && x < icon.x + icon.width && y >= icon.y && y < icon.y + icon.height
  }

  #place(): void {
    const icon = anchorOf(this.#icon())
    const display =
      icon === null
        ? screen.getDisplayNearestPoint(screen.getCursorScreenPoint())
        : screen.getDisplayMatching(icon)
    this.page.current?.setBounds(placePopover(icon, display.workArea))
  }
}
