import { app, type Session, type WebPreferences } from 'electron'
import type { App } from '../core/index.ts'
import { isOwnUrl, mayUse, SCHEME } from './trust.ts'

/** What a page of ours can do: run its script, sandboxed, in a world of its own. */
export const webPreferences = (preload: string, additionalArguments: string[]): WebPreferences => ({
  preload,
  additionalArguments,
  sandbox: true,
  contextIsolation: true,
  nodeIntegration: false,
  nodeIntegrationInWorker: false,
  nodeIntegrationInSubFrames: false,
  webSecurity: true,
  webviewTag: false,
  allowRunningInsecureContent: false,
  experimentalFeatures: false,
  navigateOnDragDrop: false,
  spellcheck: false,
  devTools: !app.isPackaged,
})

/** Whatever web contents ever come to be: they stay at our own address and open nothing. */
export function confineWebContents(engine: () => App | null): void {
  const refused = (what: string, url: string): void =>
    engine()?.logger.warn({ url: url.slice(0, 200) }, `Refused ${what} of a page.`)
  app.on('web-contents-created', (_created, contents) => {
    contents.setWindowOpenHandler(({ url }) => {
      refused('a window', url)
      return { action: 'deny' }
    })
    contents.on('will-navigate', (event) => {
      if (isOwnUrl(event.url)) return
      event.preventDefault()
      refused('a navigation', event.url)
    })
    contents.on('will-frame-navigate', (event) => {
      if (event.isMainFrame && isOwnUrl(event.url)) return
      event.preventDefault()
      refused('the navigation of a frame', event.url)
    })
    contents.on('will-redirect', (event) => {
      if (isOwnUrl(event.url)) return
      event.preventDefault()
      refused('a redirection', event.url)
    })
    contents.on('will-attach-webview', (event) => event.preventDefault())
  })
}

/** A session that grants no devices and no permissions, and reaches nothing but our own scheme. */
export function confineSession(session: Session): void {
  session.setPermissionRequestHandler((_contents, permission, callback, details) =>
    callback(details.isMainFrame && mayUse(permission, details.requestingUrl)),
  )
  session.setPermissionCheckHandler(
    (_contents, permission, origin, details) => details.isMainFrame && mayUse(permission, origin),
  )
  session.setDevicePermissionHandler(() => false)
  session.setDisplayMediaRequestHandler((_request, callback) => callback({}))
  session.setUSBProtectedClassesHandler(({ protectedClasses }) => protectedClasses)
  session.setBluetoothPairingHandler((_details, callback) => callback({ confirmed: false }))
  session.webRequest.onBeforeRequest(({ url }, callback) => {
    const devTools = !app.isPackaged && url.startsWith('devtools://')
    callback({ cancel: !devTools && !url.startsWith(`${SCHEME}:`) && !isInline(url) })
  })
  session.on('will-download', (event) => event.preventDefault())
}

/** Carried in the page itself, as far as its CSP lets it: no request leaves for it. */
const isInline = (url: string): boolean => url.startsWith('data:') || url.startsWith('blob:')
