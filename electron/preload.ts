import { contextBridge, ipcRenderer } from 'electron'
import type { LoginItem, WindowBridge } from '../core/protocol/index.ts'
import { CHANNEL, WINDOW_ARGUMENT } from './channels.ts'

/**
 * Runs sandboxed in each of our windows, before its page. Of Electron the page gets the functions below and nothing
 * else: no `ipcRenderer`, and no channel that it could name.
 */

/** As much of the page's window as is used here; the rest of the DOM has no place in a preload script. */
declare const window: {
  addEventListener(
    type: 'keydown',
    listener: (event: { readonly key: string; readonly defaultPrevented: boolean }) => void,
  ): void
}

const listeners = new Set<(message: string) => void>()
let connected = false

ipcRenderer.on(CHANNEL.message, (_event, message: string) => {
  for (const listener of listeners) listener(message)
  ipcRenderer.send(CHANNEL.taken, message.length)
})

const bridge: WindowBridge = {
  window: process.argv.includes(`${WINDOW_ARGUMENT}settings`) ? 'settings' : 'popover',
  send: (request) => ipcRenderer.send(CHANNEL.request, JSON.stringify(request)),
  subscribe: (listener) => {
    listeners.add(listener)
    if (!connected) {
      connected = true
      ipcRenderer.send(CHANNEL.connect)
    }
    return () => void listeners.delete(listener)
  },
  hide: () => ipcRenderer.send(CHANNEL.hide),
  openSettings: () => ipcRenderer.send(CHANNEL.openSettings),
  loginItem: () => ipcRenderer.invoke(CHANNEL.loginItem) as Promise<LoginItem>,
  setLoginItem: (enabled) => ipcRenderer.invoke(CHANNEL.setLoginItem, enabled) as Promise<LoginItem>,
  openLoginItems: () => ipcRenderer.send(CHANNEL.openLoginItems),
  quit: () => ipcRenderer.send(CHANNEL.quit),
}

contextBridge.exposeInMainWorld('bsm', bridge)

// After the page's own handlers: an Escape that closed something inside of it does not close the popover as well.
window.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && !event.defaultPrevented) bridge.hide()
})
