/** The smallest value that at least `share` (0 … 1) of the values do not exceed; null of nothing. */
export function percentile(values: readonly number[], share: number): number | null {
  if (values.length === 0) return null
  const sorted = values.toSorted((a, b) => a - b)
  const rank = Math.max(1, Math.ceil(share * sorted.length))
  return sorted[rank - 1] ?? null
}

export type Summary = { n: number; p50: number; p95: number; max: number }

export function summarize(values: readonly number[]): Summary | null {
  const p50 = percentile(values, 0.5)
  const p95 = percentile(values, 0.95)
  const max = percentile(values, 1)
  return p50 === null || p95 === null || max === null ? null : { n: values.length, p50, p95, max }
}
