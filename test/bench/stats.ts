/** Statistics of a sample. */

export function quantile(sample: readonly number[], q: number): number {
  if (sample.length === 0) return Number.NaN
  const sorted = [...sample].sort((a, b) => a - b)
  const rank = (sorted.length - 1) * q
  const below = sorted[Math.floor(rank)] ?? Number.NaN
  const above = sorted[Math.ceil(rank)] ?? Number.NaN
  return below + (above - below) * (rank - Math.floor(rank))
}

export const median = (sample: readonly number[]): number => quantile(sample, 0.5)
export const mean = (sample: readonly number[]): number =>
  sample.reduce((sum, value) => sum + value, 0) / sample.length
export const p95 = (sample: readonly number[]): number => quantile(sample, 0.95)

/** Milliseconds that `work` takes, with what it returned. */
export async function timed<T>(work: () => Promise<T>): Promise<{ ms: number; value: T }> {
  const since = performance.now()
  const value = await work()
  return { ms: performance.now() - since, value }
}

/** Runs `work` `n` times in a row and returns the milliseconds of each. */
export async function repeat(n: number, work: (i: number) => Promise<unknown>): Promise<number[]> {
  const sample: number[] = []
  for (let i = 0; i < n; i += 1) sample.push((await timed(() => work(i))).ms)
  return sample
}
