import { quantile } from '../bench/stats.ts'
import { countOf, Outcome, type GateReport, type Item } from './report.ts'
import { GATES, nameOf, type Gate, type Job } from './plan.ts'

/** What is read out of the reports of all gates, for the page and the documentation. */

/** A job of the plan and what is known of it. */
export type Trial = { job: Job; report: GateReport } | { job: Job; report: null; why: string }
export type Reported = Extract<Trial, { report: GateReport }>
export type Missing = Extract<Trial, { report: null }>

export const reported = (trials: readonly Trial[]): Reported[] =>
  trials.filter((trial): trial is Reported => trial.report !== null)
export const missing = (trials: readonly Trial[]): Missing[] =>
  trials.filter((trial): trial is Missing => trial.report === null)

export type Cell = { trial: Reported; outcome: Outcome; reason: string; item: Item | null }
export type Row = Pick<Item, 'id' | 'promise' | 'attacker'> & { cells: Cell[] }
export type Group = { gate: Gate; name: string; rows: Row[] }
/** A gate's promises, with a column for each run of it. */
export type Section = { gate: Gate; columns: Reported[]; groups: Group[] }

export function sections(trials: readonly Trial[]): Section[] {
  return GATES.flatMap((gate) => {
    const columns = reported(trials).filter(({ job }) => job.gate === gate)
    if (columns.length === 0) return []
    const first = new Map<string, Item>()
    for (const { report } of columns)
      for (const item of report.items) if (!first.has(item.id)) first.set(item.id, item)
    const groups = new Map<string, Row[]>()
    for (const { id, promise, attacker, group } of first.values()) {
      const cells = columns.map((trial) => cellOf(trial, id))
      const row: Row = { id, promise, cells, ...(attacker !== undefined && { attacker }) }
      groups.set(group, [...(groups.get(group) ?? []), row])
    }
    return [{ gate, columns, groups: [...groups].map(([name, rows]) => ({ gate, name, rows })) }]
  })
}

/** What a run does not have, it did not run. */
function cellOf(trial: Reported, id: string): Cell {
  const item = trial.report.items.find((one) => one.id === id) ?? null
  return item === null
    ? { trial, outcome: 'not run', reason: 'it is not a part of this run', item }
    : { trial, outcome: item.outcome, reason: item.reason, item }
}

/** What was not run was not tried either, however far it came. */
export type Tally = Record<Outcome, number> & { tries: number }

export function tally(cells: readonly Cell[]): Tally {
  const of = (outcome: Outcome) => countOf(cells, outcome)
  return {
    held: of('held'),
    broken: of('broken'),
    'not run': of('not run'),
    tries: cells.reduce(
      (sum, { outcome, item }) => sum + (outcome === 'not run' ? 0 : (item?.count ?? 0)),
      0,
    ),
  }
}

export const cellsOf = (groups: readonly Group[]): Cell[] =>
  groups.flatMap(({ rows }) => rows.flatMap(({ cells }) => cells))

export const allCells = (trials: readonly Trial[]): Cell[] =>
  cellsOf(sections(trials).flatMap(({ groups }) => groups))

export type Finding = { row: Row; cell: Cell }

/** Each promise that has one outcome, by name. */
export const findings = (trials: readonly Trial[], outcome: Outcome): Finding[] =>
  sections(trials).flatMap(({ groups }) =>
    groups.flatMap(({ rows }) =>
      rows.flatMap((row) =>
        row.cells
          .filter((cell) => cell.outcome === outcome)
          // What a run promised itself, where reports of different commits say it differently.
          .map((cell) => ({ row: { ...row, promise: cell.item?.promise ?? row.promise }, cell })),
      ),
    ),
  )

export type Verdict = { kind: Outcome; sentence: string }

const some = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`

/** The whole in a sentence. What was not run has not passed, be it one promise or a whole gate. */
export function verdict(trials: readonly Trial[]): Verdict {
  const { held, broken, 'not run': notRun } = tally(allCells(trials))
  const gates = missing(trials).map(({ job }) => nameOf(job))
  if (broken > 0) return { kind: 'broken', sentence: `${some(broken, 'promise')} broken` }
  if (held === 0) return { kind: 'not run', sentence: 'Nothing was run' }
  const open = [...(notRun > 0 ? [some(notRun, 'promise')] : []), ...gates]
  if (open.length === 0) return { kind: 'held', sentence: `All ${held} promises held` }
  const list = new Intl.ListFormat('en').format(open)
  const verb = open.length > 1 || notRun > 1 ? 'were' : 'was'
  return { kind: 'not run', sentence: `Nothing broke, but ${list} ${verb} not run` }
}

/** The commit of a report, and those of what it took over from runs before it. */
export function commitsOf({ commit, items }: GateReport): string {
  const earlier = new Map<string, number>()
  for (const item of items)
    if (item.commit !== undefined && item.commit !== commit)
      earlier.set(item.commit, (earlier.get(item.commit) ?? 0) + 1)
  return [commit, ...[...earlier].map(([of, count]) => `${count} on ${of}`)].join(', ')
}

/** What a report took, in milliseconds, with what it took over from runs before it. */
export const tookOf = ({ seconds, items }: GateReport): number =>
  items.reduce((sum, { ms, commit }) => sum + (commit === undefined ? 0 : ms), seconds * 1_000)

export const OUTCOMES = Outcome.options

/** What the issue asks of a status while something attacks: reported, never asserted. */
export const STATUS_GOAL = { p50: 50, p99: 250 } as const

/** The 99th percentile of one promise alone, which many quick ones would hide. */
export type Slow = { id: string; p99: number; asked: number }
export type Sample = { job: Job; ms: number[]; tried: number; silent: number; slow: Slow[] }

/** What each status took that was asked for during an attack, for each run that asked. */
export const statusSamples = (trials: readonly Trial[]): Sample[] =>
  reported(trials)
    .map(({ job, report }) => {
      const asked = report.items.flatMap(({ id, outcome, status_ms: ms }) =>
        ms === undefined || outcome === 'not run' ? [] : [{ id, ms }],
      )
      return {
        job,
        ms: asked.flatMap(({ ms }) => ms),
        tried: asked.length,
        silent: asked.filter(({ ms }) => ms.length === 0).length,
        slow: asked
          .map(({ id, ms }) => ({ id, p99: quantile(ms, 0.99), asked: ms.length }))
          .filter(({ p99 }) => p99 > STATUS_GOAL.p99)
          .sort((a, b) => b.p99 - a.p99),
      }
    })
    .filter(({ ms }) => ms.length > 0)

/** What the gates are called where people read of them. */
export const TITLE: Record<Gate, string> = {
  fuzz: 'Fuzzing',
  redteam: 'Red team',
  defects: 'Red team, on a product with defects',
  chaos: 'Chaos',
  soak: 'Soak',
}
export const WHAT: Record<Gate, string> = {
  fuzz: 'Every parser is fed changed inputs.',
  redteam: 'A hostile tool, guest, host and agent attack real VMs.',
  defects:
    'Each probe is run where its promise is not kept, and has to notice: a program between two parts of the product changes what one says or does, or the tool is root. The product has no such switch.',
  chaos: 'App, helper and VM are killed, stopped and starved at the worst moment.',
  soak: 'Dispatches with resets in a row, each looking for what the others left.',
}
export const HELPER = { qemu: 'QEMU', vz: 'vz on its stand-in' } as const
const ACCELERATOR: Record<string, string> = {
  tcg: 'TCG, which emulates',
  kvm: 'KVM',
  vz: 'Virtualization.framework',
}

export const titleOf = ({ gate, helper }: Job): string =>
  helper === null ? TITLE[gate] : `${TITLE[gate]}, ${HELPER[helper]}`
export const acceleratorName = (name: string): string => ACCELERATOR[name] ?? name
