import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import * as z from 'zod'

/**
 * A process that can be recognised again: its number alone is reused, its number and start are not.
 * `start` is opaque and only compared.
 */
export const ProcessIdentity = z.object({ pid: z.int().positive(), start: z.string().min(1) })
export type ProcessIdentity = z.infer<typeof ProcessIdentity>

/** The identity of a running process; null when there is none (a zombie is none). */
export function identify(pid: number): ProcessIdentity | null {
  const start = process.platform === 'linux' ? startFromProc(pid) : startFromPs(pid)
  return start === null ? null : { pid, start }
}

export function isAlive(identity: ProcessIdentity): boolean {
  return identify(identity.pid)?.start === identity.start
}

let bootId: string | null = null

function startFromProc(pid: number): string | null {
  try {
    bootId ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The command name stands in parentheses and may itself hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const state = fields[0]
    const ticks = fields[19]
    if (state === 'Z' || state === 'X' || ticks === undefined) return null
    return `linux:${bootId}:${ticks}`
  } catch {
    return null
  }
}

function startFromPs(pid: number): string | null {
  try {
    const out = execFileSync('/bin/ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      timeout: 2_000,
      env: { LC_ALL: 'C', TZ: 'UTC' },
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
    const [state, ...start] = out.split(/\s+/)
    if (state === undefined || state.startsWith('Z') || start.length === 0) return null
    return `ps:${start.join(' ')}`
  } catch {
    return null
  }
}
