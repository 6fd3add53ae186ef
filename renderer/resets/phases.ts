import { percentile } from '../format/percentiles.ts'
import type { BootPath, ResetPhaseName, ResetReport } from '../protocol.ts'

/** What a reset's bar is made of. `other` is time of the total that no phase accounts for. */
export type Part = { name: ResetPhaseName | 'other'; ms: number }

export const PHASES: readonly ResetPhaseName[] = [
  'discard',
  'load',
  'reconnect',
  'resume',
  'warmup',
  'verify',
]

/** How many resets are drawn. */
export const SLOTS = 50

export const PATH_WORDS: Record<BootPath, string> = { fast_snapshot: 'Fast snapshot', cold_boot: 'Cold boot' }

export type Stack = {
  /** In order; together they are `total_ms`. */
  waited: Part[]
  /** Done in the standby before anyone waited. */
  ahead: Part[]
  waitedMs: number
  aheadMs: number
}

/** Splits a reset into what was waited for and what had been done ahead. */
export function stackPhases(report: Pick<ResetReport, 'phases' | 'total_ms'>): Stack {
  const waited = partsOf(report.phases.filter((phase) => !phase.ahead))
  const ahead = partsOf(report.phases.filter((phase) => phase.ahead))
  const known = sum(waited)
  const rest = report.total_ms - known
  // Under a tenth of a millisecond is rounding, not time that anyone could look for.
  if (rest >= 0.1) waited.push({ name: 'other', ms: rest })
  return { waited, ahead, waitedMs: Math.max(report.total_ms, known), aheadMs: sum(ahead) }
}

/** Phases of one name together, in the protocol's order. */
function partsOf(phases: ResetReport['phases']): Part[] {
  return PHASES.flatMap((name) => {
    const ms = sum(phases.filter((phase) => phase.name === name))
    return ms > 0 ? [{ name, ms }] : []
  })
}

const sum = (parts: readonly { ms: number }[]) => parts.reduce((total, part) => total + part.ms, 0)

export type Scale = {
  /** Milliseconds at the top of the chart. */
  top: number
  /** Where the target line stands; null when it is above the top. */
  target: number | null
}

/**
 * The chart's scale: it follows the usual resets, so that one slow one does not flatten the rest, and
 * takes in the target once they come within a third of it.
 */
export function scaleFor(times: readonly number[], targetMs: number): Scale {
  const p95 = percentile(times, 0.95) ?? 0
  const usual = Math.max(0.1, ...times.filter((ms) => ms <= p95 * 3))
  const withTarget = usual >= targetMs / 3
  return {
    top: roundUp((withTarget ? Math.max(usual, targetMs) : usual) * 1.08),
    target: withTarget ? targetMs : null,
  }
}

/** The next of 1, 1.5, 2, 3, 4, 5, 6, 8, 10 times a power of ten. */
export function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value))
  const step = [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((candidate) => candidate * power >= value - power * 1e-9)
  return (step ?? 10) * power
}
