import { readFileSync } from 'node:fs'
import { isAlive, type ProcessId } from '../support/processes.ts'

/** Stopped by a signal, and not told to go on. */
export function isStopped({ pid }: ProcessId): boolean {
  try {
    return /^State:\s+[Tt]/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'))
  } catch {
    return false
  }
}

/** Sends a signal unless the process is gone; false then. */
export function signal(one: ProcessId, name: NodeJS.Signals): boolean {
  if (!isAlive(one)) return false
  try {
    process.kill(one.pid, name)
    return true
  } catch {
    return false
  }
}
