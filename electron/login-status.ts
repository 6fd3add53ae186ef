import type { LoginItem } from '../core/protocol/index.ts'

type SystemStatus = 'not-registered' | 'enabled' | 'requires-approval' | 'not-found'

/** Where a person allows a login item (macOS 13 and newer). */
export const LOGIN_ITEMS_PANE = 'x-apple.systempreferences:com.apple.LoginItems-Settings.extension'

/** What macOS says of the login item, for a person. `status` is undefined where the system has no such thing. */
export function describeLogin(status: SystemStatus | undefined, packaged: boolean): LoginItem {
  if (status === undefined)
    return {
      status: 'unavailable',
      message: 'Only macOS starts the app at login; here, use `bsm up --detach`.',
    }
  if (!packaged)
    return { status: 'unavailable', message: 'Only the installed app can start at login, not a checkout.' }
  switch (status) {
    case 'enabled':
      return { status: 'enabled', message: 'The app starts when you log in.' }
    case 'requires-approval':
      return {
        status: 'requires_approval',
        message:
          'macOS has to be told that the app may start at login: allow it in System Settings › General › Login Items.',
      }
    case 'not-registered':
    case 'not-found':
      return { status: 'disabled', message: 'The app does not start when you log in.' }
  }
}
