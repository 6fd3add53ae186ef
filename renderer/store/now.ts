import { useSyncExternalStore } from 'react'

/** One coarse clock for every relative time on the page; it stands still while nobody looks. */
const EVERY_MS = 10_000
const listeners = new Set<() => void>()
let now = Date.now()
let timer: number | undefined

function tick() {
  now = Date.now()
  for (const listener of listeners) listener()
}

function keepTime() {
  window.clearInterval(timer)
  timer = undefined
  if (document.hidden || listeners.size === 0) return
  timer = window.setInterval(tick, EVERY_MS)
}

function onVisibility() {
  if (!document.hidden) tick()
  keepTime()
}

function subscribe(listener: () => void): () => void {
  if (listeners.size === 0) {
    now = Date.now()
    document.addEventListener('visibilitychange', onVisibility)
  }
  listeners.add(listener)
  if (timer === undefined) keepTime()
  return () => {
    listeners.delete(listener)
    if (listeners.size > 0) return
    document.removeEventListener('visibilitychange', onVisibility)
    keepTime()
  }
}

/** Milliseconds since 1970, at most ten seconds old. */
export const useNow = (): number => useSyncExternalStore(subscribe, () => now)
