import { app, Menu, type MenuItemConstructorOptions } from 'electron'
import type { MenuAction, MenuEntry } from './menu.ts'

export type MenuActions = Readonly<Record<MenuAction, () => void>>

/** Entries as Electron's menu. */
export function buildMenu(entries: readonly MenuEntry[], actions: MenuActions): Menu {
  return Menu.buildFromTemplate(
    entries.map((entry): MenuItemConstructorOptions => {
      switch (entry.kind) {
        case 'separator':
          return { type: 'separator' }
        case 'text':
          return { label: entry.label, enabled: false }
        case 'action': {
          const { action, label, enabled, checked, accelerator } = entry
          return {
            id: action,
            label,
            enabled,
            click: actions[action],
            ...(checked === undefined ? {} : { type: 'checkbox', checked }),
            ...(accelerator === undefined ? {} : { accelerator }),
          }
        }
      }
    }),
  )
}

/** Nobody sees it in a menu-bar app, but it is what gives its windows their keys: copy, paste, close, quit. */
export function setApplicationMenu(actions: MenuActions): void {
  Menu.setApplicationMenu(
    Menu.buildFromTemplate([
      {
        label: app.name,
        submenu: [
          { label: 'About Brainstorm Sandbox', click: actions.about },
          { label: 'Settings…', accelerator: 'CommandOrControl+,', click: actions.settings },
          { type: 'separator' },
          { label: 'Quit Brainstorm Sandbox', accelerator: 'CommandOrControl+Q', click: actions.quit },
        ],
      },
      { role: 'editMenu' },
      { label: 'Window', submenu: [{ role: 'close' }, { role: 'minimize' }] },
    ]),
  )
}
