import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { until } from './deadline.ts'

/** A process by pid and start time, so that a reused pid is not taken for it. */
export type ProcessId = { pid: number; startedAt: string; command: string }

const quietly = <T>(read: () => T): T | undefined => {
  try {
    return read()
  } catch {
    return undefined // the process went away, or is not ours to read
  }
}

function stat(pid: number): { state: string; parent: number; startedAt: string } | undefined {
  const text = quietly(() => readFileSync(`/proc/${pid}/stat`, 'latin1'))
  if (text === undefined) return undefined
  // The command stands in parentheses and may hold anything, so fields count from the last one.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return { state: fields[0] ?? '?', parent: Number(fields[1]), startedAt: fields[19] ?? '' }
}

export const commandLine = (pid: number): string =>
  (quietly(() => readFileSync(`/proc/${pid}/cmdline`, 'latin1')) ?? '').split('\0').join(' ').trim()

export function allPids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
}

/** Pid of the parent, or undefined once the process is gone. */
export const parentOf = (pid: number): number | undefined => stat(pid)?.parent

export function identify(pid: number): ProcessId | undefined {
  const found = stat(pid)
  return found && { pid, startedAt: found.startedAt, command: commandLine(pid).slice(0, 200) }
}

/** Still the same process, and not a zombie that only waits to be reaped. */
export function isAlive(process: ProcessId): boolean {
  const found = stat(process.pid)
  return found?.startedAt === process.startedAt && found.state !== 'Z' && found.state !== 'X'
}

/** `pid` and everything below it. */
export function tree(pid: number): ProcessId[] {
  const children = new Map<number, number[]>()
  for (const candidate of allPids()) {
    const found = stat(candidate)
    if (found) children.set(found.parent, [...(children.get(found.parent) ?? []), candidate])
  }
  const collect = (root: number): number[] => [root, ...(children.get(root) ?? []).flatMap(collect)]
  return collect(pid).flatMap((member) => identify(member) ?? [])
}

/**
 * Every living process that carries `marker` in its environment or command line, or holds a file
 * below `directory` open: a tree walk misses what was orphaned or cleaned its environment.
 */
export function connectedWith(marker: string, directory: string): ProcessId[] {
  return allPids().flatMap((pid) => {
    if (pid === process.pid) return []
    const found = stat(pid)
    if (!found || found.state === 'Z' || found.state === 'X') return []
    const environment = quietly(() => readFileSync(`/proc/${pid}/environ`, 'latin1')) ?? ''
    const command = commandLine(pid)
    const named = environment.includes(marker) || command.includes(marker) || command.includes(directory)
    return named || openFiles(pid).some((file) => file.startsWith(`${directory}/`))
      ? (identify(pid) ?? [])
      : []
  })
}

/** Targets of a process's descriptors and of its working directory. */
export function openFiles(pid: number): string[] {
  const names = quietly(() => readdirSync(`/proc/${pid}/fd`)) ?? []
  return [`/proc/${pid}/cwd`, ...names.map((name) => `/proc/${pid}/fd/${name}`)].flatMap(
    (link) => quietly(() => readlinkSync(link)) ?? [],
  )
}

/** Resident bytes, or 0 once the process is gone. */
export function residentBytes(pid: number): number {
  const text = quietly(() => readFileSync(`/proc/${pid}/status`, 'latin1')) ?? ''
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) * 1024
}

export async function gone(processes: ProcessId[], ms = 10_000): Promise<void> {
  const left = () => processes.filter(isAlive)
  await until(ms, `end of ${processes.map((one) => one.pid).join(', ')}`, () => left().length === 0).catch(
    () => {
      const names = left().map((one) => `${one.pid} ${one.command}`)
      throw new Error(`processes were left behind:\n  ${names.join('\n  ')}`)
    },
  )
}
