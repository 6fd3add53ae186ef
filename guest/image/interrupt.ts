import { AsyncLocalStorage } from 'node:async_hooks'
import { ImageBuildError } from './error.ts'

const SIGNALS = ['SIGINT', 'SIGTERM'] as const
const current = new AsyncLocalStorage<AbortSignal>()

/** Aborts when the build that the caller is part of is interrupted; undefined outside of a build. */
export const interruption = (): AbortSignal | undefined => current.getStore()

/**
 * Runs a build that Ctrl-C or a TERM ends in order: its programs are stopped, it clears up behind itself, and then the
 * process ends by that signal, as it would have at once. Where somebody else listens too, how it ends is theirs.
 */
export async function interruptible<T>(work: () => Promise<T>): Promise<T> {
  const controller = new AbortController()
  let caught: (typeof SIGNALS)[number] | undefined
  const listeners = SIGNALS.map((name) => {
    const listener = () => {
      caught ??= name
      controller.abort(new ImageBuildError('The build was interrupted.', 'Run the same command again.'))
    }
    process.on(name, listener)
    return { name, listener }
  })
  try {
    return await current.run(controller.signal, work)
  } finally {
    for (const { name, listener } of listeners) process.off(name, listener)
    if (caught && process.listenerCount(caught) === 0) process.kill(process.pid, caught)
  }
}
