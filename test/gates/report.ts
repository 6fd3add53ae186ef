import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { arch, cpus, platform, release, totalmem } from 'node:os'
import { dirname } from 'node:path'
import { z } from 'zod'
import { repository } from '../support/image.ts'

/** What one gate did and found, as its `--json` prints it and as `npm run gates` keeps it. */

export const REPORT_SCHEMA = 'bsm-gate/1'

export const Outcome = z.enum(['held', 'broken', 'not run'])
export type Outcome = z.infer<typeof Outcome>

export const Machine = z.strictObject({
  host_os: z.string(),
  arch: z.string(),
  cpu: z.string(),
  cpus: z.int().positive(),
  memory_mib: z.int().positive(),
  node: z.string(),
})
export type Machine = z.infer<typeof Machine>

export const Latency = z.strictObject({
  samples: z.int().nonnegative(),
  /** Milliseconds; null when nothing was measured. */
  p50: z.number().nullable(),
  p99: z.number().nullable(),
  /** Requests that got no answer. */
  unanswered: z.int().nonnegative(),
})
export type Latency = z.infer<typeof Latency>

/** One probe, parser, fault or measure of a gate. */
export const Item = z.strictObject({
  id: z.string(),
  group: z.string(),
  /** What is promised: a sentence that this item tried to make untrue. */
  promise: z.string(),
  outcome: Outcome,
  /** Why it is `broken` or `not run`; for `held` what it saw, where that says something. */
  reason: z.string(),
  ms: z.number().nonnegative(),
  /** Inputs, rounds or dispatches that it is worth. */
  count: z.int().nonnegative(),
  latency: Latency.optional(),
  /** Numbers of its own, by name. */
  figures: z.record(z.string(), z.number()).optional(),
})
export type Item = z.infer<typeof Item>

export const Plot = z.strictObject({ title: z.string(), svg: z.string() })

export const GateReport = z.strictObject({
  schema: z.literal(REPORT_SCHEMA),
  gate: z.enum(['fuzz', 'redteam', 'soak', 'chaos']),
  started_at: z.iso.datetime(),
  finished_at: z.iso.datetime(),
  seconds: z.number().nonnegative(),
  commit: z.string(),
  machine: Machine,
  /** Null where no VM is involved. */
  helper: z.enum(['qemu', 'vz']).nullable(),
  accelerator: z.string().nullable(),
  slice: z.boolean(),
  seed: z.int().nullable(),
  items: z.array(Item),
  plots: z.array(Plot),
})
export type GateReport = z.infer<typeof GateReport>

export function machine(): Machine {
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
export function commit(): string {
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

type Made = Pick<GateReport, 'gate' | 'helper' | 'accelerator' | 'slice' | 'seed' | 'items' | 'plots'>

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

export const countOf = (items: readonly Item[], outcome: Outcome): number =>
  items.filter((item) => item.outcome === outcome).length

/** A gate fails by what is broken, and by having run nothing: what was not run has not passed. */
export const passed = ({ items }: Pick<GateReport, 'items'>): boolean =>
  countOf(items, 'broken') === 0 && countOf(items, 'held') > 0

export function summary(made: GateReport): string {
  const { items } = made
  const inputs = items.reduce((sum, { count }) => sum + count, 0)
  const of = (outcome: Outcome) => `${countOf(items, outcome)} ${outcome}`
  const where = made.helper === null ? '' : ` on ${made.helper} (${made.accelerator ?? 'unknown'})`
  return `${made.gate}${where}: ${of('held')}, ${of('broken')}, ${of('not run')}; ${inputs} in all; ${made.seconds.toFixed(1)} s`
}

/** Written beside and renamed: one that was cut off is not taken for a report. */
export function writeFileWhole(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(`${path}.next`, text)
  renameSync(`${path}.next`, path)
}

export const writeReport = (path: string, made: GateReport): void =>
  writeFileWhole(path, `${JSON.stringify(made, null, 1)}\n`)

export const readReport = (path: string): GateReport =>
  GateReport.parse(JSON.parse(readFileSync(path, 'utf8')))
