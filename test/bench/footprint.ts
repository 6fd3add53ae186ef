import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

const TICKS_PER_SECOND = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))

/** CPU seconds (user and system) that these processes have used. */
export function cpuSeconds(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return sum + (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
    } catch {
      return sum // ended meanwhile
    }
  }, 0)
}

/** Proportional resident memory of these processes: what they share is counted once. */
export const residentMib = (pids: readonly number[]): number => proportionalMib(pids, ['Pss'])

/**
 * The part of it that is theirs: heaps, stacks and the RAM of VMs. Programs and libraries are not in it, whose share
 * of these processes rises when somebody else ends who ran the same.
 */
export const ownMemoryMib = (pids: readonly number[]): number =>
  proportionalMib(pids, ['Pss_Anon', 'Pss_Shmem'])

function proportionalMib(pids: readonly number[], kinds: readonly string[]): number {
  return pids.reduce((sum, pid) => {
    try {
      const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1')
      const kib = kinds.map((kind) =>
        Number(new RegExp(`^${kind}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1] ?? 0),
      )
      return sum + kib.reduce((a, b) => a + b, 0) / 1024
    } catch {
      return sum // ended meanwhile
    }
  }, 0)
}
