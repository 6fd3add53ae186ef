import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

type Collect = (how: { type: 'major'; execution: 'async' }) => Promise<void>

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
  if (collect === undefined) collect = ofTheEngine()
  await collect?.({ type: 'major', execution: 'async' })
}

/** The engine gives it to new contexts alone, none of which is ever quite freed: one is made, and it is kept. */
function ofTheEngine(): Collect | null {
  setFlagsFromString('--expose-gc')
  const found = runInNewContext('globalThis.gc') as Collect | undefined
  setFlagsFromString('--no-expose-gc')
  return found ?? null
}
