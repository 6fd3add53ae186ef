import type { CheckResult } from '../protocol/index.ts'
import type { Check, Finding, Machine } from './check.ts'

const CHECK_WITHIN_MS = 15_000

/** Runs every check, each on its own: one that throws or hangs is its own finding and nobody else's. */
export async function runChecks(
  checks: readonly Check[],
  machine: Machine,
  withinMs = CHECK_WITHIN_MS,
): Promise<CheckResult[]> {
  const results = await Promise.all(checks.map((check) => runOne(check, machine, withinMs)))
  return results.filter((result) => result !== null)
}

async function runOne(check: Check, machine: Machine, withinMs: number): Promise<CheckResult | null> {
  const began = performance.now()
  const finding = await bounded(async () => check.run(machine), withinMs).catch(
    (error: unknown): Finding => ({
      status: 'fail',
      message: `the check itself failed: ${error instanceof Error ? error.message : String(error)}`,
    }),
  )
  if (finding === null) return null
  return { id: check.id, title: check.title, ...finding, duration_ms: Math.round(performance.now() - began) }
}

async function bounded<T>(work: () => Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([work(), late])
  } finally {
    clearTimeout(timer)
  }
}
