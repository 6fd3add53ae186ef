import { spawnSync } from 'node:child_process'
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

type Row = { state: string; parent: number; startedAt: string; command: string }

function statOnLinux(pid: number): Row | undefined {
  const text = quietly(() => readFileSync(`/proc/${pid}/stat`, 'latin1'))
  if (text === undefined) return undefined
  // The command stands in parentheses and may hold anything, so fields count from the last one.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const line = quietly(() => readFileSync(`/proc/${pid}/cmdline`, 'latin1')) ?? ''
  return {
    state: fields[0] ?? '?',
    parent: Number(fields[1]),
    startedAt: fields[19] ?? '',
    command: line.split('\0').join(' ').trim(),
  }
}

/** What `ps -o pid=,ppid=,stat=,lstart=,command=` prints, on any system that has it. */
export function parsePs(text: string): Map<number, Row> {
  const row = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(\w{3}\s+\w{3}\s+\d+\s+[\d:]+\s+\d{4})\s?(.*)$/gm
  return new Map(
    [...text.matchAll(row)].map(([, pid, parent, state = '?', startedAt = '', command = '']) => [
      Number(pid),
      { state: state.slice(0, 1), parent: Number(parent), startedAt, command: command.trim() },
    ]),
  )
}

/** macOS has no /proc. `which` picks processes as ps does; `-E` lets it show their environments too. */
function ps(...which: string[]): Map<number, Row> {
  const columns = ['-o', 'pid=,ppid=,stat=,lstart=,command=']
  const { stdout } = spawnSync('ps', ['-ww', ...which, ...columns], {
    encoding: 'utf8',
    maxBuffer: 64 << 20,
    env: { ...process.env, LC_ALL: 'C' },
  })
  return parsePs(stdout)
}

const isMac = process.platform === 'darwin'

const stat = (pid: number): Row | undefined => (isMac ? ps('-p', String(pid)).get(pid) : statOnLinux(pid))

export const commandLine = (pid: number): string => stat(pid)?.command ?? ''

/** Every process there is now. */
function all(): Map<number, Row> {
  if (isMac) return ps('-ax')
  const pids = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
  return new Map(
    pids.flatMap((pid) => {
      const found = statOnLinux(pid)
      return found ? [[pid, found] as const] : []
    }),
  )
}

/** Pid of the parent, or undefined once the process is gone. */
export const parentOf = (pid: number): number | undefined => stat(pid)?.parent

const identity = (pid: number, { startedAt, command }: Row): ProcessId => ({
  pid,
  startedAt,
  command: command.slice(0, 200),
})

export function identify(pid: number): ProcessId | undefined {
  const found = stat(pid)
  return found && identity(pid, found)
}

/** Still the same process, and not a zombie that only waits to be reaped. */
export function isAlive(process: ProcessId): boolean {
  const found = stat(process.pid)
  return found?.startedAt === process.startedAt && found.state !== 'Z' && found.state !== 'X'
}

/** `pid` and everything below it. */
export function tree(pid: number): ProcessId[] {
  const rows = all()
  const children = new Map<number, number[]>()
  for (const [candidate, { parent }] of rows)
    children.set(parent, [...(children.get(parent) ?? []), candidate])
  const collect = (root: number): number[] => [root, ...(children.get(root) ?? []).flatMap(collect)]
  return collect(pid).flatMap((member) => {
    const row = rows.get(member)
    return row ? [identity(member, row)] : []
  })
}

/**
 * Every living process that carries `marker` in its environment or command line, or holds a file
 * below `directory` open: a tree walk misses what was orphaned or cleaned its environment.
 */
export function connectedWith(marker: string, directory: string): ProcessId[] {
  if (isMac) {
    const named = [...ps('-ax', '-E')].filter(
      ([, { command }]) => command.includes(marker) || command.includes(directory),
    )
    return named.flatMap(([pid, row]) =>
      pid === process.pid || row.state === 'Z' ? [] : [identity(pid, row)],
    )
  }
  return [...all()].flatMap(([pid, row]) => {
    if (pid === process.pid || row.state === 'Z' || row.state === 'X') return []
    const environment = quietly(() => readFileSync(`/proc/${pid}/environ`, 'latin1')) ?? ''
    const named =
      environment.includes(marker) || row.command.includes(marker) || row.command.includes(directory)
    return named || openFiles(pid).some((file) => file.startsWith(`${directory}/`))
      ? [identity(pid, row)]
      : []
  })
}

/** Targets of a process's descriptors and of its working directory. */
export function openFiles(pid: number): string[] {
  if (isMac) {
    const { stdout } = spawnSync('lsof', ['-a', '-p', String(pid), '-Fn'], { encoding: 'utf8' })
    return stdout.split('\n').flatMap((line) => (line.startsWith('n') ? [line.slice(1)] : []))
  }
  const names = quietly(() => readdirSync(`/proc/${pid}/fd`)) ?? []
  return [`/proc/${pid}/cwd`, ...names.map((name) => `/proc/${pid}/fd/${name}`)].flatMap(
    (link) => quietly(() => readlinkSync(link)) ?? [],
  )
}

/** Resident bytes, or 0 once the process is gone. */
export function residentBytes(pid: number): number {
  if (isMac) {
    const { stdout } = spawnSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' })
    return Number(stdout.trim() || 0) * 1024
  }
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

export const isQemu = ({ pid }: ProcessId): boolean => /^\S*qemu-system/.test(commandLine(pid))

/** The oldest first. */
export const byAge = (a: ProcessId, b: ProcessId): number =>
  Number(a.startedAt) - Number(b.startedAt) || a.pid - b.pid
