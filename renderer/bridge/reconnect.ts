/** When and with what a closed socket comes back. Pure, so that time and chance are arguments. */

const FIRST_MS = 500
const LONGEST_MS = 15_000
/** Close codes with which a server says that it does not know us: policy violation, and our own. */
const REFUSED_CODES = new Set([1008, 4401])
/** Sockets that opened and closed without a word before we take silence for a refusal. */
const SILENT_CLOSES = 3

/** Milliseconds before attempt `attempt` (from 1); `chance` in [0, 1) spreads several pages apart. */
export function backoffMs(attempt: number, chance: number): number {
  const full = Math.min(LONGEST_MS, FIRST_MS * 2 ** (attempt - 1))
  return Math.round(full * (0.75 + chance / 4))
}

export type Credential = { kind: 'token'; token: string } | { kind: 'session'; session: string }

export type Closed = {
  code: number
  /** The socket had opened, so the credential was sent. */
  opened: boolean
  /** At least one message had come: the credential was taken. */
  greeted: boolean
  /** Closes in a row, this one included, of sockets that opened but never greeted. */
  silentCloses: number
}

/** What to do about a closed socket, given what else could be tried. */
export function afterClose(
  closed: Closed,
  used: Credential,
  session: string | null,
): { next: Credential } | { signedOut: 'refused' } {
  if (closed.greeted || !closed.opened) {
    // A token that was sent is spent; one that never left is still good.
    if (closed.opened && used.kind === 'token')
      return session === null ? { signedOut: 'refused' } : { next: { kind: 'session', session } }
    return { next: used }
  }
  if (used.kind === 'token')
    return session === null ? { signedOut: 'refused' } : { next: { kind: 'session', session } }
  if (REFUSED_CODES.has(closed.code) || closed.silentCloses >= SILENT_CLOSES) return { signedOut: 'refused' }
  return { next: used }
}

/** The single-use token in an address's fragment, `#token=…`. */
export function tokenOf(hash: string): string | null {
  const token = new URLSearchParams(hash.replace(/^#/, '')).get('token')
  return token === null || token === '' ? null : token
}
