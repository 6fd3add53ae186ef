import type { Acceptance } from './acceptance.ts'

/** What a step found out; shown in the report beside its verdict. */
export type Facts = Record<string, string | number | boolean>

/** Why a step was not run, in one sentence. */
export class NotHere extends Error {
  override readonly name = 'NotHere'
}

/** One thing that only a Mac can show. It throws what is wrong. */
export type Step = {
  id: string
  title: string
  run: (on: Acceptance) => Promise<Facts>
}

export type Outcome = {
  id: string
  title: string
  verdict: 'passed' | 'failed' | 'not run'
  ms: number
  facts: Facts
  /** Why it failed or was not run. */
  reason?: string
}

/** Runs them all, also after a failed one. */
export async function runSteps(
  steps: readonly Step[],
  on: Acceptance,
  said: (outcome: Outcome) => void,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  for (const { id, title, run } of steps) {
    const since = performance.now()
    let end: Pick<Outcome, 'verdict' | 'facts' | 'reason'>
    try {
      end = { verdict: 'passed', facts: await run(on) }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      end = { verdict: error instanceof NotHere ? 'not run' : 'failed', facts: {}, reason }
    } finally {
      await on.endHelpers()
    }
    const outcome = { id, title, ms: Math.round(performance.now() - since), ...end }
    outcomes.push(outcome)
    said(outcome)
  }
  return outcomes
}
