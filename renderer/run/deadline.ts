/** Deadlines are asked in seconds and sent in milliseconds (protocol §2: 100 … 3 600 000). */
export const DEFAULT_DEADLINE_S = '30'

export function parseDeadline(text: string): { ok: true; ms: number } | { ok: false; error: string } {
  const seconds = Number(text.trim().replace(',', '.'))
  if (text.trim() === '' || !Number.isFinite(seconds))
    return { ok: false, error: 'Deadline must be a number of seconds.' }
  const ms = Math.round(seconds * 1000)
  return ms < 100 || ms > 3_600_000
    ? { ok: false, error: 'Deadline must be between 0.1 and 3600 seconds.' }
    : { ok: true, ms }
}
