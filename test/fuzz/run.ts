import fc from 'fast-check'
import type { Item } from '../gates/report.ts'
import type { Run } from '../gates/command.ts'
import { asProperty, type Target } from './target.ts'

/** Inputs between two looks at the clock and at Ctrl-C. */
const BATCH = 2_000

/** The part of a full run's inputs that a slice takes. */
export const SLICE = 1 / 40

export type FuzzOptions = { seed: number; scale: number }

/** Runs one target on its share of inputs. The same seed and scale give the same inputs. */
export async function fuzz(target: Target, { seed, scale }: FuzzOptions, run: Run): Promise<Item> {
  const since = performance.now()
  const wanted = Math.max(1, Math.round(target.inputs * scale))
  let count = 0
  const item = (outcome: Item['outcome'], reason: string): Item => ({
    id: target.id,
    group: 'TypeScript, in process',
    promise: target.promise,
    outcome,
    reason,
    ms: performance.now() - since,
    count,
  })
  try {
    const property = target.property()
    for (let batch = 0; count < wanted; batch += 1) {
      if (run.signal.aborted) return item('not run', `cut off after ${count} of ${wanted} inputs`)
      const details = await fc.check(asProperty(property), {
        numRuns: Math.min(BATCH, wanted - count),
        seed: seed + batch,
        endOnFailure: false,
      })
      count += details.numRuns
      if (details.failed) return item('broken', failure(details))
      await new Promise((resolve) => setImmediate(resolve))
    }
    return item('held', '')
  } catch (error) {
    return item('broken', `the property could not be made: ${String(error)}`)
  } finally {
    target.dispose?.()
  }
}

const LONGEST = 1_500

type Failure = Pick<fc.RunDetails<never>, 'seed' | 'counterexamplePath' | 'counterexample' | 'errorInstance'>

function failure({ seed, counterexamplePath, counterexample, errorInstance }: Failure): string {
  const why = errorInstance instanceof Error ? errorInstance.message : String(errorInstance)
  return `${why}\nseed ${seed}, path ${counterexamplePath ?? ''}: ${fc.stringify(counterexample)}`.slice(
    0,
    LONGEST,
  )
}
