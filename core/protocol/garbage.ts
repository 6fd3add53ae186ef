import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** At once, or once what the process does at that moment is done. */
type Collect = { (): void; (how: { type: 'major'; execution: 'async' }): Promise<void> }

/**
 * To be called whenever a piece of work is over: each `every`th call has the garbage of this process collected, once
 * what it does at that moment is done. That takes some 20 ms.
 *
 * Left alone, the engine collects all of it after tens of MiB only, and a dispatch leaves about 10 KiB: a process that
 * lives for weeks would hold them most of the time.
 */
export function garbageCollector(every = 50): () => void {
  let calls = 0
  return () => {
    calls += 1
    if (calls % every === 0) void collectGarbage()
  }
}

let collect: Collect | null | undefined

async function collectGarbage(): Promise<void> {
  if (collect === undefined) collect = engineCollector()
  await collect?.({ type: 'major', execution: 'async' })
}

/**
 * The engine's own full collection; null where it gives none away. It does so to new contexts alone, none of which is
 * ever quite freed: take one, and keep it.
 */
export function engineCollector(): Collect | null {
  setFlagsFromString('--expose-gc')
  const found = runInNewContext('globalThis.gc') as Collect | undefined
  setFlagsFromString('--no-expose-gc')
  return found ?? null
}
