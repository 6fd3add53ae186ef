/** The person left at once; there is nothing to tell them. Exit code 130. */
export class InterruptedError extends Error {
  override readonly name = 'InterruptedError'
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Calls `handler` for each interrupt of the person (1 for the first, 2 for the second …) instead of dying, until
 * disposed.
 */
export function onInterrupt(handler: (count: number, signal: NodeJS.Signals) => void): Disposable {
  let count = 0
  const listener = (signal: NodeJS.Signals) => handler((count += 1), signal)
  for (const signal of SIGNALS) process.on(signal, listener)
  return {
    [Symbol.dispose]: () => {
      for (const signal of SIGNALS) process.off(signal, listener)
    },
  }
}
