import { readFileSync } from 'node:fs'

/** Who a process is: numbers come back, a number with its start time does not. */
export type ProcessIdentity = { pid: number; start_time: string }

/** Start time of a process in clock ticks since boot, or null when it is gone (`/proc/PID/stat`, field 22). */
export function startTimeOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name in parentheses may hold anything; fields are counted from behind it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? null : (fields[19] ?? null)
  } catch {
    return null
  }
}

export const ownIdentity = (): ProcessIdentity => ({
  pid: process.pid,
  start_time: startTimeOf(process.pid) ?? '0',
})

export const isAlive = (identity: ProcessIdentity): boolean =>
  startTimeOf(identity.pid) === identity.start_time
