import { useSyncExternalStore } from 'react'

function subscribe(changed: () => void): () => void {
  document.addEventListener('visibilitychange', changed)
  return () => document.removeEventListener('visibilitychange', changed)
}

/** Whether anybody sees the page. */
export const useSeen = (): boolean => useSyncExternalStore(subscribe, () => !document.hidden)
