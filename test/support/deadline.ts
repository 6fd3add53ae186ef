import { setTimeout as pause } from 'node:timers/promises'

/** Something the test waited for did not come within its deadline. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError'
}

/** `promise`, or a {@link DeadlineError} that says what was waited for after `ms`. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new DeadlineError(`${what}: nothing within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Asks again and again until `condition` gives something truthy; what it gave is returned. */
export async function until<T>(
  ms: number,
  what: string,
  condition: () => T | Promise<T>,
  everyMs = 20,
): Promise<NonNullable<T>> {
  const end = Date.now() + ms
  for (;;) {
    const value = await condition()
    if (value) return value
    if (Date.now() > end) throw new DeadlineError(`${what}: not so within ${ms} ms`)
    await pause(everyMs)
  }
}
