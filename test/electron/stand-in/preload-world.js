/**
 * Runs in Chromium, in two copies: `standInPreload` in an isolated world of its own, as Electron runs a sandboxed
 * preload script, and `standInPage` in the page's world. All that joins them are DOM events with JSON in them.
 */

/** @param {Function} preload its text as a function: the CSP of the page forbids to evaluate text @param {string[]} argv */
export function standInPreload(preload, argv) {
  if (window.top !== window) return
  /** @type {any} */
  const world = globalThis
  const binding = world.standInIpc
  /** Data that Electron's context bridge would copy; here only what JSON can tell as well. @param {any} value */
  const plain = (value) => {
    structuredClone(value)
    return value
  }
  // ------------------------------------------------------------ ipcRenderer
  /** @type {Map<string, ((event: object, ...args: any[]) => void)[]>} */
  const listeners = new Map()
  /** @type {Map<number, { resolve: (value: any) => void, reject: (error: Error) => void }>} */
  const asked = new Map()
  let next = 1
  const ipcRenderer = {
    /** @param {string} channel @param {(event: object, ...args: any[]) => void} listener */
    on: (channel, listener) => void listeners.set(channel, [...(listeners.get(channel) ?? []), listener]),
    /** @param {string} channel @param {any[]} args */
    send: (channel, ...args) => binding(JSON.stringify({ kind: 'send', channel, args: args.map(plain) })),
    /** @param {string} channel @param {any[]} args */
    invoke: (channel, ...args) =>
      new Promise((resolve, reject) => {
        const id = next++
        asked.set(id, { resolve, reject })
        binding(JSON.stringify({ kind: 'invoke', id, channel, args: args.map(plain) }))
      }),
  }
  /** @param {string} channel @param {any[]} args */
  world.standInDeliver = (channel, args) => {
    for (const listener of listeners.get(channel) ?? []) listener({}, ...args)
  }
  /** @param {number} id @param {{ ok: boolean, value?: any, error?: string }} answer */
  world.standInAnswer = (id, answer) => {
    const waiting = asked.get(id)
    asked.delete(id)
    if (answer.ok) waiting?.resolve(answer.value)
    else waiting?.reject(new Error(answer.error))
  }
  // ------------------------------------------------------------ contextBridge
  /** @type {Map<number, (...args: any[]) => any>} functions that the page may call */
  const exposed = new Map()
  let functions = 1
  /** @param {string} type @param {object} detail */
  const tell = (type, detail) =>
    document.dispatchEvent(new CustomEvent(`stand-in-${type}`, { detail: JSON.stringify(detail) }))
  /** @param {any} value @returns {any} */
  const outgoing = (value) => {
    if (typeof value === 'function') {
      const id = functions++
      exposed.set(id, value)
      return { function: id }
    }
    if (value instanceof Promise) {
      const id = functions++
      value.then(
        (result) => tell('settled', { id, ok: true, value: plain(result) }),
        (error) => tell('settled', { id, ok: false, error: String(error.message) }),
      )
      return { promise: id }
    }
    return { value: plain(value) }
  }
  /** @param {any} argument */
  const incoming = (argument) =>
    'function' in argument
      ? (/** @type {any[]} */ ...args) => tell('callback', { id: argument.function, args: args.map(plain) })
      : argument.value
  document.addEventListener('stand-in-call', (event) => {
    const { id, args } = JSON.parse(/** @type {CustomEvent} */ (event).detail)
    const target = exposed.get(id)
    if (target === undefined) return
    try {
      tell('returned', outgoing(target(...args.map(incoming))))
    } catch (error) {
      tell('returned', { error: String(error) })
    }
  })
  /** @type {Record<string, Record<string, any>>} */
  const worlds = {}
  const contextBridge = {
    /** @param {string} key @param {Record<string, any>} api */
    exposeInMainWorld: (key, api) => {
      if (key in worlds)
        throw new Error('Cannot bind an API on top of an existing property on the window object')
      worlds[key] = Object.fromEntries(Object.entries(api).map(([name, value]) => [name, outgoing(value)]))
      tell('expose', worlds)
    },
  }
  document.addEventListener('stand-in-page', () => tell('expose', worlds))
  /** @param {boolean} shown whether the page's window is shown */
  world.standInShown = (shown) => tell('shown', { shown })
  // ------------------------------------------------------------ what a sandboxed preload script may require
  /** @type {Record<string, object>} */
  const modules = { electron: { contextBridge, ipcRenderer } }
  /** @param {string} name */
  const require = (name) => {
    const found = modules[name]
    if (found === undefined) throw new Error(`module not found: ${name}`)
    return found
  }
  const process = {
    argv,
    platform: 'linux',
    type: 'renderer',
    sandboxed: true,
    contextIsolated: true,
    env: {},
  }
  const module = { exports: {} }
  preload(require, module, module.exports, process)
}

export function standInPage() {
  if (window.top !== window) return
  /** @type {Map<number, (...args: any[]) => void>} */
  const callbacks = new Map()
  /** @type {Map<number, { resolve: (value: any) => void, reject: (error: Error) => void }>} */
  const promises = new Map()
  let next = 1
  /** @param {string} type @param {(detail: any) => void} act */
  const hear = (type, act) =>
    document.addEventListener(`stand-in-${type}`, (event) =>
      act(JSON.parse(/** @type {CustomEvent} */ (event).detail)),
    )
  /** @type {any} */
  let returned
  hear('returned', (detail) => (returned = detail))
  hear('callback', ({ id, args }) => callbacks.get(id)?.(...args))
  hear('settled', ({ id, ok, value, error }) => {
    const waiting = promises.get(id)
    promises.delete(id)
    if (ok) waiting?.resolve(value)
    else waiting?.reject(new Error(error))
  })
  /** @param {any} value */
  const outgoing = (value) => {
    if (typeof value !== 'function') {
      structuredClone(value)
      return { value }
    }
    const id = next++
    callbacks.set(id, value)
    return { function: id }
  }
  /** @param {any} value @returns {any} */
  const incoming = (value) => {
    if ('error' in value) throw new Error(value.error)
    if ('function' in value)
      return (/** @type {any[]} */ ...args) => {
        const detail = JSON.stringify({ id: value.function, args: args.map(outgoing) })
        document.dispatchEvent(new CustomEvent('stand-in-call', { detail }))
        return incoming(returned)
      }
    if ('promise' in value)
      return new Promise((resolve, reject) => promises.set(value.promise, { resolve, reject }))
    return value.value
  }
  // A page is hidden with its window; Chromium, where ours are tabs, would call all of them visible.
  let hidden = true
  Object.defineProperty(document, 'hidden', { get: () => hidden })
  Object.defineProperty(document, 'visibilityState', { get: () => (hidden ? 'hidden' : 'visible') })
  hear('shown', ({ shown }) => {
    if (hidden === !shown) return
    hidden = !shown
    document.dispatchEvent(new Event('visibilitychange'))
  })
  hear('expose', (worlds) => {
    for (const [key, api] of Object.entries(worlds))
      if (!(key in window))
        Object.defineProperty(window, key, {
          value: Object.freeze(
            Object.fromEntries(Object.entries(api).map(([name, value]) => [name, incoming(value)])),
          ),
        })
  })
  document.dispatchEvent(new CustomEvent('stand-in-page'))
}
