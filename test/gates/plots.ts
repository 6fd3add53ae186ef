import { quantile } from '../bench/stats.ts'
import { cellsOf, OUTCOMES, STATUS_GOAL, tally, titleOf, type Group, type Sample } from './facts.ts'
import type { Outcome } from './report.ts'
import { count, duration, fitted, line, rect, text, x1, type Picture } from './svg.ts'

/** Plots of a validation. Pure: data and a width in, a picture out. */

const CLASS: Record<Outcome, string> = { held: 'held', broken: 'broken', 'not run': 'not-run' }

const ROW = 46

/** A group's name, with its gate where another gate has one of that name. */
const named = ({ gate, name }: Group, all: readonly Group[]): string =>
  all.some((other) => other.name === name && other.gate !== gate) ? `${name} · ${gate}` : name

/** How many promises each group has, by outcome, and how often they were tried. */
export function outcomesPlot(groups: readonly Group[], width: number): Picture {
  const rows = groups.map((group) => ({ group, of: tally(cellsOf([group])) }))
  const most = Math.max(1, ...rows.map(({ of }) => of.held + of.broken + of['not run']))
  const body = rows.flatMap(({ group, of }, i) => {
    const y = i * ROW
    const said = OUTCOMES.filter((outcome) => of[outcome] > 0).map((outcome) => `${of[outcome]} ${outcome}`)
    const tries = width < 500 ? '' : ` · ${count(of.tries)} ${of.tries === 1 ? 'try' : 'tries'}`
    const right = `${said.join(', ')}${tries}`
    let x = 0
    const bars = OUTCOMES.map((outcome) => {
      const length = (of[outcome] / most) * width
      const bar = rect(x, y + 22, Math.max(0, length - 1), 10, `rx="2" class="${CLASS[outcome]}"`)
      x += length
      return of[outcome] === 0 ? '' : bar
    })
    return [
      text(0, y + 15, 'name', fitted(named(group, groups), width - right.length * 6.2 - 16, 7.4)),
      text(width, y + 15, 'number', right, 'end'),
      rect(0, y + 22, width, 10, 'rx="2" class="track"'),
      ...bars,
    ]
  })
  return { width, height: rows.length * ROW, label: 'Promises of each group by outcome', body }
}

type Axis = { at: (value: number) => number; ticks: number[] }

/** What people count time in, in milliseconds. */
const TICKS: readonly [number, string][] = [
  [0.1, '0.1 ms'],
  [1, '1 ms'],
  [10, '10 ms'],
  [100, '100 ms'],
  [1_000, '1 s'],
  [10_000, '10 s'],
  [60_000, '1 min'],
  [600_000, '10 min'],
  [3_600_000, '1 h'],
  [36_000_000, '10 h'],
]

/** A logarithmic axis around all values, which are milliseconds. */
function logAxis(values: readonly number[], left: number, right: number): Axis {
  const all = TICKS.map(([ms]) => ms)
  const low = all.findLast((tick) => tick <= Math.min(...values, 10)) ?? 0.1
  const high = all.find((tick) => tick >= Math.max(...values, 100)) ?? 36_000_000
  const span = Math.log10(high / low)
  const at = (value: number) =>
    left + (Math.log10(Math.min(high, Math.max(low, value)) / low) / span) * (right - left)
  return { at, ticks: all.filter((tick) => tick >= low && tick <= high) }
}

const tickName = (ms: number): string => TICKS.find(([tick]) => tick === ms)?.[1] ?? ''

const anchorAt = (i: number, last: number) => (i === 0 ? 'start' : i === last ? 'end' : 'middle')

/** How long each promise was tried, on a logarithmic axis; what was not run has no time. */
export function timesPlot(groups: readonly Group[], width: number): Picture {
  const rows = groups.flatMap((group) => {
    const ran = group.rows.flatMap((row) =>
      row.cells.flatMap(({ item }) => (item === null || item.outcome === 'not run' ? [] : [item])),
    )
    return ran.length === 0 ? [] : [{ name: named(group, groups), items: ran.sort((a, b) => b.ms - a.ms) }]
  })
  const all = rows.flatMap(({ items }) => items.map(({ ms }) => ms))
  const { at, ticks } = logAxis(all, 6, width - 6)
  const height = rows.length * ROW + 22
  const grid = ticks.flatMap((tick, i) => [
    line(at(tick), 20, at(tick), height - 20, 'grid'),
    text(at(tick), height - 4, 'quiet', tickName(tick), anchorAt(i, ticks.length - 1)),
  ])
  const body = rows.flatMap(({ name, items }, i) => {
    const y = i * ROW
    const [slowest] = items
    const right = slowest === undefined ? '' : `slowest ${slowest.id}, ${duration(slowest.ms)}`
    const shown = fitted(right, width / 2, 5.8)
    return [
      text(0, y + 15, 'name', fitted(name, width / 2 - 8, 7.4)),
      text(width, y + 15, 'quiet', shown, 'end'),
      ...items.map(
        ({ id, ms, outcome }) =>
          `<circle class="dot${outcome === 'broken' ? ' broken' : ''}" cx="${x1(at(ms))}" cy="${y + 30}" r="${outcome === 'broken' ? 5 : 4}">${titled(`${id}: ${outcome}, ${duration(ms)}`)}</circle>`,
      ),
    ]
  })
  return { width, height, label: 'Time of each promise, logarithmic axis', body: [...grid, ...body] }
}

const titled = (said: string): string =>
  text(0, 0, '', said)
    .replace(/^<text[^>]*>/, '<title>')
    .replace(/<\/text>$/, '</title>')

const BINS_A_DECADE = 12

/** How soon statuses were answered while something attacked: a histogram, with median and p99 beside their goals. */
export function statusPlot({ job, ms }: Sample, width: number): Picture {
  const height = 200
  const [top, bottom] = [48, height - 24]
  // Below a millisecond all are as soon as anyone sees.
  const { at, ticks } = logAxis([...ms.map((value) => Math.max(1, value)), STATUS_GOAL.p99 * 2], 4, width - 4)
  const [lowest = 1] = ticks
  const bins = new Map<number, number>()
  for (const value of ms) {
    const bin = Math.floor(Math.log10(Math.max(value, lowest) / lowest) * BINS_A_DECADE)
    bins.set(bin, (bins.get(bin) ?? 0) + 1)
  }
  const most = Math.max(1, ...bins.values())
  const edge = (bin: number) => at(lowest * 10 ** (bin / BINS_A_DECADE))
  const bars = [...bins]
    .sort(([a], [b]) => a - b)
    .map(([bin, n]) => {
      const tall = Math.max(1, (n / most) * (bottom - top - 6))
      return rect(
        edge(bin),
        bottom - tall,
        Math.max(1, edge(bin + 1) - edge(bin) - 1),
        tall,
        'class="bar" rx="1"',
      )
    })
  const p50 = quantile(ms, 0.5)
  const p99 = quantile(ms, 0.99)
  // A label stands on the side of its line where there is room, and each in a row of its own.
  const side = (value: number) => (at(value) > width * 0.7 ? 'end' : 'start')
  const beside = (value: number) => at(value) + (side(value) === 'end' ? -5 : 5)
  const mark = (value: number, name: string, row: number) => [
    line(at(value), row - 10, at(value), bottom, 'mark'),
    text(beside(value), row, 'number', `${name} ${duration(value)}`, side(value)),
  ]
  const goal = (value: number, name: string, anchor: 'start' | 'end') => [
    line(at(value), 2, at(value), bottom, 'goal'),
    text(
      at(value) + (anchor === 'end' ? -5 : 5),
      12,
      'goal-name',
      `${width < 500 ? '' : `${name} `}≤ ${value} ms`,
      anchor,
    ),
  ]
  const body = [
    ...ticks.flatMap((tick, i) => [
      line(at(tick), bottom, at(tick), bottom + 4, 'axis'),
      text(at(tick), height - 6, 'quiet', tickName(tick), anchorAt(i, ticks.length - 1)),
    ]),
    ...bars,
    ...goal(STATUS_GOAL.p50, 'p50', 'end'),
    ...goal(STATUS_GOAL.p99, 'p99', side(STATUS_GOAL.p99)),
    line(0, bottom, width, bottom, 'axis'),
    ...mark(p50, 'p50', 28),
    ...mark(p99, 'p99', 42),
  ]
  const label = `${titleOf(job)}: ${ms.length} statuses, median ${duration(p50)}, p99 ${duration(p99)}`
  return { width, height, label, body }
}
