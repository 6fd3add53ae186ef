import { app, shell } from 'electron'
import type { LoginItem } from '../core/protocol/index.ts'
import { describeLogin, LOGIN_ITEMS_PANE } from './login-status.ts'

/** Launch at login, as macOS 13 and newer do it (SMAppService). */
const TYPE = { type: 'mainAppService' } as const

const onMac = process.platform === 'darwin'

export const loginItem = (): LoginItem =>
  describeLogin(onMac ? app.getLoginItemSettings(TYPE).status : undefined, app.isPackaged)

/** Returns what became of it: macOS may want to be asked by the person. */
export function setLoginItem(enabled: boolean): LoginItem {
  if (loginItem().status !== 'unavailable') app.setLoginItemSettings({ openAtLogin: enabled, ...TYPE })
  return loginItem()
}

/** The only address that the app ever opens outside of itself. */
export function openLoginItems(): void {
  if (onMac) void shell.openExternal(LOGIN_ITEMS_PANE)
}
