export { bytes } from '../../core/index.ts'

/** Milliseconds as a person reads them: `0.4 ms`, `12 ms`, `1.2 s`, `3 min 5 s`, `2 h 10 min`. */
export function duration(ms: number): string {
  if (ms < 1) return `${ms.toFixed(1)} ms`
  if (ms < 999.5) return `${ms < 10 ? Number(ms.toFixed(1)) : Math.round(ms)} ms`
  const seconds = ms / 1_000
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${whole % 60} s`
  if (whole >= 48 * 3_600) return `${Math.floor(whole / 86_400)} days`
  return `${Math.floor(whole / 3_600)} h ${Math.floor((whole % 3_600) / 60)} min`
}

/** How long ago a timestamp of the wire was. */
export function ago(timestamp: string, now = Date.now()): string {
  return `${duration(Math.max(1, now - Date.parse(timestamp)))} ago`
}

/** Enough of a digest to tell it from another. */
export function shortDigest(digest: string | null): string {
  return digest === null ? 'none' : digest.slice(0, 'sha256:'.length + 12)
}
