import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, lstatSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { arch, cpus, platform, release, totalmem } from 'node:os'
import { basename, dirname, join } from 'node:path'
import * as z from 'zod'
import { HELPERS } from '../support/helper-binary.ts'
import { repository } from '../support/image.ts'

/** What one gate did and found, as its `--json` prints it and as `npm run gates` keeps it. */

const REPORT_SCHEMA = 'bsm-gate/3'

export const Outcome = z.enum(['held', 'broken', 'not run'])
export type Outcome = z.infer<typeof Outcome>

const Machine = z.strictObject({
  host_os: z.string(),
  arch: z.string(),
  cpu: z.string(),
  cpus: z.int().positive(),
  memory_mib: z.int().positive(),
  node: z.string(),
})
type Machine = z.infer<typeof Machine>

/** One promise that a gate tried to break. */
const Item = z.strictObject({
  id: z.string(),
  group: z.string(),
  /** Who attacked, where that differs between items. */
  attacker: z.string().optional(),
  /** What is promised: a sentence that this item tried to make untrue. */
  promise: z.string(),
  outcome: Outcome,
  /** Why it is `broken` or `not run`; for `held` what it saw, where that says something. */
  reason: z.string(),
  ms: z.number().nonnegative(),
  /** How often it was tried: inputs, dispatches. */
  count: z.int().nonnegative(),
  /** What each status took that was asked for meanwhile, in milliseconds. */
  status_ms: z.array(z.number()).optional(),
  /** Of what was kept from an earlier run, whose time is not in this one's: the commit that it was tried on. */
  commit: z.string().optional(),
})
export type Item = z.infer<typeof Item>

/** A figure over dispatches in a row. */
const Series = z.strictObject({
  id: z.string(),
  title: z.string(),
  unit: z.string(),
  values: z.array(z.number()),
  /** What it shows, where that is not the straight line through it. */
  said: z.string().optional(),
})
export type Series = z.infer<typeof Series>

const GateReport = z.strictObject({
  schema: z.literal(REPORT_SCHEMA),
  gate: z.enum(['fuzz', 'soak', 'redteam', 'defects', 'chaos']),
  /** The helper that was run and its VMs' accelerator; null of a gate that tries both, or none. */
  helper: z.enum(HELPERS).nullable(),
  accelerator: z.string().nullable(),
  started_at: z.iso.datetime(),
  finished_at: z.iso.datetime(),
  /** From start to end; what items that were kept took is theirs alone. */
  seconds: z.number().nonnegative(),
  commit: z.string(),
  /** Digest of every file that a gate's outcome could depend on. */
  code: z.string(),
  machine: Machine,
  slice: z.boolean(),
  /** What was asked for beside helper and slice: with any, it is not the gate's whole run. */
  asked: z.array(z.string()),
  /** Ended by Ctrl-C before it was through. */
  interrupted: z.boolean(),
  seed: z.int(),
  items: z.array(Item),
  series: z.array(Series),
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

const git = (...args: string[]): string =>
  execFileSync('git', ['-C', repository, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    maxBuffer: 1 << 28,
  })

/** What a gate runs does not depend on documents. */
const RUN_FILES = ['--', '.', ':(exclude)docs', ':(exclude,glob)**/*.md']

const UNKNOWN = 'unknown'

/** Digest of every file that a gate's outcome could depend on; the same of two commits that differ in documents alone. */
export function code(): string {
  try {
    const paths = git(
      'ls-files',
      '--cached',
      '--others',
      '--exclude-standard',
      '--deduplicate',
      '-z',
      ...RUN_FILES,
    )
    const digest = createHash('sha256')
    for (const path of paths.split('\0').filter((name) => existsSync(join(repository, name)))) {
      const file = lstatSync(join(repository, path))
      if (!file.isFile()) continue
      const bytes = createHash('sha256')
        .update(readFileSync(join(repository, path)))
        .digest('hex')
      digest.update(`${path}\0${(file.mode & 0o111).toString(8)}\0${bytes}\0`)
    }
    return digest.digest('hex').slice(0, 16)
  } catch {
    return UNKNOWN
  }
}

/** The commit of the checkout; `+` and the start of {@link code} behind it say that files differ from it. */
export function commit(): string {
  try {
    const head = git('rev-parse', '--short=12', 'HEAD').trim()
    return git('status', '--porcelain', ...RUN_FILES) === '' ? head : `${head}+${code().slice(0, 8)}`
  } catch {
    return UNKNOWN
  }
}

/** Where git says nothing, nobody knows what was run. */
export const isOfTheseFiles = (kept: GateReport, now: string): boolean => now !== UNKNOWN && kept.code === now

/** A whole run to its end, of these very files, need not be made again. */
export const isStillTrue = (kept: GateReport, now: string): boolean =>
  isOfTheseFiles(kept, now) && !kept.interrupted && kept.asked.length === 0

type Made = Pick<GateReport, 'gate' | 'slice' | 'seed' | 'items'> &
  Partial<Pick<GateReport, 'helper' | 'accelerator' | 'series' | 'asked' | 'interrupted' | 'commit' | 'code'>>

export function report(since: Date, made: Made, until = new Date()): GateReport {
  return GateReport.parse({
    schema: REPORT_SCHEMA,
    started_at: since.toISOString(),
    finished_at: until.toISOString(),
    seconds: (until.getTime() - since.getTime()) / 1000,
    commit: made.commit ?? commit(),
    code: made.code ?? code(),
    machine: machine(),
    helper: null,
    accelerator: null,
    series: [],
    asked: [],
    interrupted: false,
    ...made,
  })
}

/** How a terminal shows an outcome. */
export const MARK: Record<Outcome, string> = { held: '✓', broken: '✗', 'not run': '–' }

export const countOf = (items: readonly Pick<Item, 'outcome'>[], outcome: Outcome): number =>
  items.filter((item) => item.outcome === outcome).length

/** A gate fails by what is broken, and by having run nothing: what was not run has not passed. */
export const passed = ({ items }: Pick<GateReport, 'items'>): boolean =>
  countOf(items, 'broken') === 0 && countOf(items, 'held') > 0

export function summary(made: GateReport): string {
  const { items } = made
  const tries = items.reduce((sum, { count }) => sum + count, 0)
  const of = (outcome: Outcome) => `${countOf(items, outcome)} ${outcome}`
  const name = made.helper === null ? made.gate : `${made.gate} on ${made.helper}`
  return `${name}: ${of('held')}, ${of('broken')}, ${of('not run')}; ${tries} tries; ${made.seconds.toFixed(1)} s`
}

export const REPORTS = join(repository, 'out/gates')
/** Where `npm run gates -- --docs` keeps them for people. */
export const PUBLISHED = join(repository, 'docs/validation')

/** Where a gate's last run is kept; one that was asked for a part lies beside the whole one. */
export function reportPath(
  of: Pick<GateReport, 'gate' | 'helper' | 'slice' | 'asked'>,
  folder = REPORTS,
): string {
  const words = [of.gate, of.helper, of.slice && 'slice', of.asked.length > 0 && 'part']
  return join(folder, `${words.filter(Boolean).join('-')}.json`)
}

/** The report at a path, or null where there is none that this version can read. */
export function readReport(path: string): GateReport | null {
  if (!existsSync(path)) return null
  try {
    return GateReport.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return null
  }
}

/** The newest report of a run: the one at a path or, of this checkout's own, the published one. */
export function lastReport(path: string): GateReport | null {
  const published = dirname(path) === REPORTS ? readReport(join(PUBLISHED, basename(path))) : null
  const both = [readReport(path), published]
  const ended = (made: GateReport | null): number => (made === null ? 0 : Date.parse(made.finished_at))
  return both.sort((a, b) => ended(b) - ended(a))[0] ?? null
}

/** Written beside and renamed: one that was cut off is not taken for a report. */
export function writeReport(path: string, made: GateReport): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(`${path}.next`, `${JSON.stringify(made, null, 1)}\n`)
  renameSync(`${path}.next`, path)
}
