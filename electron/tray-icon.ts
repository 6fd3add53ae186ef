import { join } from 'node:path'
import { nativeImage, nativeTheme, Tray, type Menu, type NativeImage } from 'electron'
import type { AppSnapshot } from '../core/protocol/index.ts'
import { shapeOf, tooltipOf, type TrayShape } from './look.ts'
import type { Rect } from './position.ts'

interface TrayParts {
  readonly images: string
  readonly onClick: () => void
  readonly menu: () => Menu
}

const onMac = process.platform === 'darwin'

/** The icon in the menu bar: its shape says the state, and so do its tooltip and its menu. */
export class TrayIcon {
  readonly #tray: Tray
  readonly #parts: TrayParts
  #snapshot: AppSnapshot
  #shape: TrayShape
  #tooltip = ''

  constructor(parts: TrayParts, snapshot: AppSnapshot) {
    this.#parts = parts
    this.#snapshot = snapshot
    this.#shape = shapeOf(snapshot)
    this.#tray = new Tray(this.#image())
    this.#tray.setIgnoreDoubleClickEvents(true)
    this.#tray.on('click', parts.onClick)
    // A menu that is set takes the left click as well on a Mac, so there it is popped up.
    if (onMac) this.#tray.on('right-click', () => this.#tray.popUpContextMenu(parts.menu()))
    // A menu bar on a Mac colours a template image itself.
    else nativeTheme.on('updated', () => this.#tray.setImage(this.#image()))
    this.show(snapshot)
  }

  get bounds(): Rect {
    return this.#tray.getBounds()
  }

  show(snapshot: AppSnapshot): void {
    const tooltip = tooltipOf(snapshot)
    const changed = tooltip !== this.#tooltip || snapshot.state !== this.#snapshot.state
    this.#snapshot = snapshot
    if (!changed && this.#tooltip !== '') return
    this.#tooltip = tooltip
    this.#tray.setToolTip(tooltip)
    if (shapeOf(snapshot) !== this.#shape) {
      this.#shape = shapeOf(snapshot)
      this.#tray.setImage(this.#image())
    }
    this.refreshMenu()
  }

  /** A Linux tray shows only a menu that it was given. */
  refreshMenu(): void {
    if (!onMac) this.#tray.setContextMenu(this.#parts.menu())
  }

  destroy(): void {
    this.#tray.destroy()
  }

  #image(): NativeImage {
    const variant = onMac ? 'Template' : nativeTheme.shouldUseDarkColors ? 'OnDark' : 'OnLight'
    // The picture of twice the size beside it is found by its name.
    const image = nativeImage.createFromPath(join(this.#parts.images, `${this.#shape}${variant}.png`))
    if (onMac) image.setTemplateImage(true)
    return image
  }
}
