/** Numbers as people read them. Nothing here knows the protocol. */

const grouped = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })

/** What stands where a number is not known. */
export const UNKNOWN = '—'

export const count = (n: number): string => grouped.format(n)

/** Milliseconds: `0.4 ms`, `34 ms`, `1.23 s`, `2 min 3 s`. */
export function milliseconds(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return UNKNOWN
  if (ms < 9.95) return `${trimmed(ms, 1)} ms`
  if (ms < 999.5) return `${Math.round(ms)} ms`
  if (ms < 9_995) return `${(ms / 1000).toFixed(2)} s`
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`
  return span(ms)
}

/** Round times of a scale or a target: `60 ms`, `1.5 s`. */
export const axis = (ms: number): string =>
  ms < 1000 ? `${Number(ms.toPrecision(3))} ms` : `${Number((ms / 1000).toPrecision(3))} s`

/** A length of time in its two largest units: `41 s`, `2 min 3 s`, `3 h 5 min`, `2 d 4 h`. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return joined(minutes, 'min', seconds % 60, 's')
  const hours = Math.floor(minutes / 60)
  if (hours < 24) return joined(hours, 'h', minutes % 60, 'min')
  return joined(Math.floor(hours / 24), 'd', hours % 24, 'h')
}

const joined = (a: number, unitA: string, b: number, unitB: string) =>
  b === 0 ? `${a} ${unitA}` : `${a} ${unitA} ${b} ${unitB}`

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** Bytes in powers of 1024, with at most one decimal: `812 B`, `1.5 KiB`, `110 MiB`. */
export function bytes(n: number | null | undefined): string {
  if (n === null || n === undefined) return UNKNOWN
  let value = n
  let unit = 0
  while (value >= 1023.95 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : trimmed(value, 1)} ${UNITS[unit] ?? ''}`
}

/** How long ago, coarse on purpose: the page looks again every ten seconds only. */
export function ago(then: string, now: number): string {
  const ms = now - Date.parse(then)
  if (Number.isNaN(ms)) return UNKNOWN
  if (ms < 10_000) return 'just now'
  if (ms < 60_000) return `${Math.floor(ms / 10_000) * 10} s ago`
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ago`
  if (ms < 86_400_000) return `${Math.floor(ms / 3_600_000)} h ago`
  return `${Math.floor(ms / 86_400_000)} d ago`
}

/** The clock time of a stamp, in the reader's own zone. */
export function clockTime(stamp: string): string {
  const date = new Date(stamp)
  return Number.isNaN(date.getTime())
    ? UNKNOWN
    : date.toLocaleTimeString('en', { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false })
}

/** Day and time of a stamp, in the reader's own zone. */
export const dayAndTime = (stamp: string): string =>
  new Date(stamp).toLocaleString('en', { dateStyle: 'medium', timeStyle: 'medium', hourCycle: 'h23' })

/** `3f2a…9c1d`: enough to compare by eye, the whole of it is copied. */
export function shortDigest(digest: string | null): string {
  if (digest === null) return UNKNOWN
  const hex = digest.replace(/^sha256:/, '')
  return hex.length <= 9 ? hex : `${hex.slice(0, 4)}…${hex.slice(-4)}`
}

const trimmed = (n: number, digits: number) => n.toFixed(digits).replace(/\.0+$/, '')
