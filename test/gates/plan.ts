import { HELPERS, type Which } from '../support/helper-binary.ts'
import type { GateReport } from './report.ts'

export const GATES = ['fuzz', 'redteam', 'defects', 'chaos', 'soak'] as const satisfies GateReport['gate'][]
export type Gate = (typeof GATES)[number]

/** What runs each; all have the same options. */
export const PROGRAM: Record<Gate, string> = {
  fuzz: 'test/fuzz/main.ts',
  redteam: 'test/redteam/main.ts',
  defects: 'test/redteam/defects.ts',
  chaos: 'test/chaos/main.ts',
  soak: 'test/soak/main.ts',
}

/** One run of a gate. */
export type Job = {
  gate: Gate
  /** Null of a gate that tries both. */
  helper: Which | null
  /** Why a slice does without it. */
  notInSlice?: string
}

const QUICK = 'a slice tries it on QEMU alone, for it is to be quick'

/** Everything that the full run runs, in this order: what is soon over comes first. */
export const JOBS: readonly Job[] = [
  { gate: 'fuzz', helper: null },
  { gate: 'redteam', helper: 'qemu' },
  { gate: 'redteam', helper: 'vz' },
  { gate: 'defects', helper: 'qemu', notInSlice: 'npm test itself has the quick ones' },
  { gate: 'chaos', helper: 'qemu' },
  { gate: 'chaos', helper: 'vz', notInSlice: QUICK },
  { gate: 'soak', helper: 'qemu' },
  { gate: 'soak', helper: 'vz', notInSlice: QUICK },
]

export type Choice = { slice: boolean; helpers: readonly Which[]; only: readonly Gate[] }

/** Why a job is not run now, or null when it is. */
export function whyNot({ gate, helper, notInSlice }: Job, { slice, helpers, only }: Choice): string | null {
  if (only.length > 0 && !only.includes(gate)) return 'another gate was asked for'
  if (helper !== null && helpers.length > 0 && !helpers.includes(helper))
    return 'another helper was asked for'
  return slice && notInSlice !== undefined ? notInSlice : null
}

/** How a person calls a job. */
export const nameOf = ({ gate, helper }: Pick<Job, 'gate' | 'helper'>): string =>
  helper === null ? gate : `${gate} on ${helper}`

export const gateNamed = (name: string): Gate | undefined => GATES.find((gate) => gate === name)
export const helperNamed = (name: string): Which | undefined => HELPERS.find((one) => one === name)
