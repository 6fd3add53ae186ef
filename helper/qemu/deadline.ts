import { BsmError } from '../../core/protocol/index.ts'

/** Resolves like `promise`, or rejects with `late()` after `ms` milliseconds. */
export async function within<T>(ms: number, promise: Promise<T>, late: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), ms)
  })
  try {
    return await Promise.race([promise, timeout])
  } finally {
    clearTimeout(timer)
  }
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Milliseconds on a clock that never jumps. */
export const now = (): number => performance.now()

/** A promise with its handles outside. */
export type Deferred<T> = {
  promise: Promise<T>
  resolve: (value: T) => void
  reject: (reason: Error) => void
}

export function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => undefined
  let reject: (reason: Error) => void = () => undefined
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  // Whoever waits sees the rejection; when no one does, it is not news.
  promise.catch(() => undefined)
  return { promise, resolve, reject }
}

export const hypervisorError = (message: string, nextStep: string, cause?: unknown): BsmError =>
  new BsmError('VM_LIFECYCLE_ERROR', 'hypervisor', message, {
    nextStep,
    ...(cause === undefined ? {} : { cause }),
  })
