import { execFileSync } from 'node:child_process'
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { arch, cpus, platform, release, totalmem } from 'node:os'
import { dirname } from 'node:path'
import { z } from 'zod'
import { repository } from '../support/image.ts'

/** What one gate did and found, as its `--json` prints it and as `npm run gates` keeps it. */

const REPORT_SCHEMA = 'bsm-gate/1'

const Outcome = z.enum(['held', 'broken', 'not run'])
type Outcome = z.infer<typeof Outcome>

const Machine = z.strictObject({
  host_os: z.string(),
  arch: z.string(),
  cpu: z.string(),
  cpus: z.int().positive(),
  memory_mib: z.int().positive(),
  node: z.string(),
})
type Machine = z.infer<typeof Machine>

/** One parser that a gate tried. */
const Item = z.strictObject({
  id: z.string(),
  group: z.string(),
  /** What is promised: a sentence that this item tried to make untrue. */
  promise: z.string(),
  outcome: Outcome,
  /** Why it is `broken` or `not run`; for `held` what it saw, where that says something. */
  reason: z.string(),
  ms: z.number().nonnegative(),
  /** Inputs that it was given. */
  count: z.int().nonnegative(),
})
export type Item = z.infer<typeof Item>

const GateReport = z.strictObject({
  schema: z.literal(REPORT_SCHEMA),
  gate: z.literal('fuzz'),
  started_at: z.iso.datetime(),
  finished_at: z.iso.datetime(),
  seconds: z.number().nonnegative(),
  commit: z.string(),
  machine: Machine,
  slice: z.boolean(),
  seed: z.int(),
  items: z.array(Item),
})
export type GateReport = z.infer<typeof GateReport>

function machine(): Machine {
  const all = cpus()
  return {
    host_os: `${platform()} ${release()}`,
    arch: arch(),
    cpu: all[0]?.model.trim() || 'unknown',
    cpus: all.length,
    memory_mib: Math.floor(totalmem() / 2 ** 20),
    node: process.version,
  }
}

/** The commit that was run; `+` behind it says that files of the checkout differ from it. */
function commit(): string {
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', repository, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  try {
    return `${git('rev-parse', '--short=12', 'HEAD')}${git('status', '--porcelain') === '' ? '' : '+'}`
  } catch {
    return 'unknown'
  }
}

type Made = Pick<GateReport, 'gate' | 'slice' | 'seed' | 'items'>

export function report(since: Date, made: Made, until = new Date()): GateReport {
  return GateReport.parse({
    schema: REPORT_SCHEMA,
    started_at: since.toISOString(),
    finished_at: until.toISOString(),
    seconds: (until.getTime() - since.getTime()) / 1000,
    commit: commit(),
    machine: machine(),
    ...made,
  })
}

/** How a terminal shows an outcome. */
export const MARK: Record<Outcome, string> = { held: '✓', broken: '✗', 'not run': '–' }

const countOf = (items: readonly Item[], outcome: Outcome): number =>
  items.filter((item) => item.outcome === outcome).length

/** A gate fails by what is broken, and by having run nothing: what was not run has not passed. */
export const passed = ({ items }: Pick<GateReport, 'items'>): boolean =>
  countOf(items, 'broken') === 0 && countOf(items, 'held') > 0

export function summary(made: GateReport): string {
  const { items } = made
  const inputs = items.reduce((sum, { count }) => sum + count, 0)
  const of = (outcome: Outcome) => `${countOf(items, outcome)} ${outcome}`
  return `${made.gate}: ${of('held')}, ${of('broken')}, ${of('not run')}; ${inputs} in all; ${made.seconds.toFixed(1)} s`
}

/** Written beside and renamed: one that was cut off is not taken for a report. */
export function writeReport(path: string, made: GateReport): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(`${path}.next`, `${JSON.stringify(made, null, 1)}\n`)
  renameSync(`${path}.next`, path)
}
