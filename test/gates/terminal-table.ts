import { tally, titleOf, tookOf, type Cell, type Trial } from './facts.ts'
import { MARK, passed } from './report.ts'
import { count, duration } from './svg.ts'

/** One line a run, for a terminal. */
export function terminalTable(trials: readonly Trial[]): string {
  const head = ['', 'run', 'held', 'broken', 'not run', 'tries', 'took', 'commit']
  const rows = trials.map((trial) => {
    const name = titleOf(trial.job)
    if (trial.report === null) return [MARK['not run'], name, '', '', '', '', '', `not run: ${trial.why}`]
    const { report } = trial
    const of = tally(report.items.map((item): Cell => ({ trial, outcome: item.outcome, reason: '', item })))
    const mark = of.broken > 0 ? MARK.broken : passed(report) ? MARK.held : MARK['not run']
    const counts = [of.held, of.broken, of['not run'], of.tries].map((n) => count(n))
    return [mark, name, ...counts, duration(tookOf(report)), report.commit]
  })
  const all = [head, ...rows]
  const widths = head.map((_, i) => Math.max(...all.map((row) => row[i]?.length ?? 0)))
  const isNumber = (i: number) => i >= 2 && i <= 6
  return all
    .map((row) =>
      row
        .map((cell, i) => (isNumber(i) ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
