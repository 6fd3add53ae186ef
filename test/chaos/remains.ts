import type { ProcessId } from '../support/processes.ts'
import { commandLine } from '../support/processes.ts'
import type { Scratch } from '../support/scratch.ts'

/** What lies and runs at rest. */
export type Remains = {
  /** Sorted; one of each process. */
  programs: string[]
  /** How many files have each name, its numbers and digests taken out. */
  files: Map<string, number>
}

const PROGRAMS: [RegExp, string][] = [
  [/^\S*qemu-system/, 'VM'],
  [/bsm-(qemu|vz)-helper/, 'helper'],
  [/bsm\.mjs/, 'app'],
  [/^\S*bsm-launcher/, 'launcher'],
]

/** What these processes are, sorted. */
export const programsOf = (processes: readonly ProcessId[]): string[] =>
  processes
    .map(({ pid }) => commandLine(pid))
    .filter((command) => command !== '')
    .map((command) => PROGRAMS.find(([pattern]) => pattern.test(command))?.[1] ?? command.slice(0, 100))
    .sort()

/** These grow with every dispatch, within bounds that are tested elsewhere. */
const GROWING = /^state\/(evidence|logs)\//

const shapeOf = (path: string): string =>
  path.replace(/[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{8,}|\d+/gi, '#')

export function filesOf(scratch: Scratch): Map<string, number> {
  const files = new Map<string, number>()
  for (const { path, kind } of scratch.list())
    if (kind !== 'directory') {
      const shape = `${kind} ${shapeOf(path)}`
      files.set(shape, (files.get(shape) ?? 0) + 1)
    }
  return files
}

/** What there is more of than before, but for what may be there. */
export function leaked(scratch: Scratch, before: ReadonlyMap<string, number>, allowed?: RegExp): string[] {
  return [...filesOf(scratch)].flatMap(([shape, count]) => {
    const path = shape.slice(shape.indexOf(' ') + 1)
    const known = before.get(shape) ?? 0
    if (count <= known || (known > 0 && GROWING.test(path)) || allowed?.test(path) === true) return []
    return [`${count - known} ${shape}`]
  })
}
