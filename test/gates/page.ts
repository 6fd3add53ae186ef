import { quantile } from '../bench/stats.ts'
import {
  acceleratorName,
  allCells,
  cellsOf,
  findings,
  HELPER,
  missing,
  OUTCOMES,
  reported,
  sections,
  STATUS_GOAL,
  statusSamples,
  tally,
  TITLE,
  titleOf,
  tookOf,
  verdict,
  WHAT,
  type Cell,
  type Finding,
  type Group,
  type Missing,
  type Reported,
  type Sample,
  type Section,
  type Tally,
  type Trial,
  commitsOf,
} from './facts.ts'
import { PAGE_STYLE } from './page-style.ts'
import { outcomesPlot, statusPlot, timesPlot } from './plots.ts'
import { MARK, type Outcome } from './report.ts'
import { seriesPlot } from './series-plot.ts'
import { count, duration, escaped, escapedLine, inline, type Picture } from './svg.ts'

export const columnName = ({ job }: Pick<Reported, 'job'>): string =>
  job.helper === null ? 'Outcome' : HELPER[job.helper]

const WIDE = 880
const NARROW = 340
const PANEL = 380

const classOf = (outcome: Outcome): string => outcome.replace(' ', '-')
const sign = (outcome: Outcome): string =>
  `<span class="sign ${classOf(outcome)}" aria-hidden="true">${MARK[outcome]}</span>`
/** The same plot for a wide and for a narrow page. */
const both = (plot: (width: number) => Picture): string =>
  `<div class="wide">${inline(plot(WIDE))}</div><div class="narrow">${inline(plot(NARROW))}</div>`
const section = (title: string, what: string, content: string): string =>
  `<section><header><h2>${escapedLine(title)}</h2><p>${escapedLine(what)}</p></header>${content}</section>`
const facts = (rows: [string, string][]): string =>
  `<dl class="facts">${rows.map(([name, value]) => `<dt>${escapedLine(name)}</dt><dd>${escapedLine(value)}</dd>`).join('')}</dl>`
const share = (of: Tally): string =>
  `<div class="share">${OUTCOMES.filter((outcome) => of[outcome] > 0)
    .map((outcome) => `<i class="${classOf(outcome)}" style="flex:${of[outcome]}"></i>`)
    .join('')}</div>`
export const said = (of: Tally): string =>
  OUTCOMES.filter((outcome) => of[outcome] > 0)
    .map((outcome) => `${of[outcome]} ${outcome}`)
    .join(', ')

/** A day and a minute, UTC. */
export const when = (iso: string): string => `${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC`

export const unique = (values: readonly string[]): string[] => [...new Set(values)]

const isSlice = (trials: readonly Trial[]): boolean => reported(trials).some(({ report }) => report.slice)

/** One self-contained HTML page: nothing is loaded, and nothing in a report becomes markup. */
export function page(trials: readonly Trial[]): string {
  const { kind, sentence } = verdict(trials)
  const groups = sections(trials).flatMap(({ groups }) => groups)
  const ran = reported(trials)
  const parts = [
    head(trials),
    figures(trials),
    attention(trials),
    ran.length === 0
      ? ''
      : section(
          'What was tried',
          'Promises of each group; the bar is as long as they are many.',
          `<div class="panel">${both((width) => outcomesPlot(groups, width))}</div>`,
        ),
    status(statusSamples(trials)),
    ...ran.map(wear),
    ran.length === 0
      ? ''
      : section(
          'How long it took',
          'Each dot is a promise that was tried; the axis is logarithmic. Of what one program tried in one go, the first has the time.',
          `<div class="panel">${both((width) => timesPlot(groups, width))}</div>`,
        ),
    section(
      'Runs',
      'What was run, where, and of which state of the files.',
      `<div class="grid">${trials.map(run).join('')}</div>`,
    ),
    sections(trials).length === 0
      ? ''
      : section(
          'Every promise',
          'What was promised, and what became of it on each helper.',
          sections(trials).map(promises).join(''),
        ),
    footer(trials),
  ]
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>${MARK[kind]} ${escapedLine(sentence)} · Brainstorm Sandbox</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
<main>
${parts.filter((part) => part !== '').join('\n')}
</main>
</body>
</html>
`
}

function head(trials: readonly Trial[]): string {
  const { kind, sentence } = verdict(trials)
  const ran = reported(trials)
  const days = unique(ran.map(({ report }) => report.started_at.slice(0, 10))).sort()
  const on = unique(ran.flatMap(({ job }) => (job.helper === null ? [] : [HELPER[job.helper]])))
  const commits = unique(ran.map(({ report }) => commitsOf(report)))
  const over = [
    'Brainstorm Sandbox',
    isSlice(trials) ? 'validation, a slice: a quick look' : 'validation',
    ...days.slice(-1),
    commits.length > 1 ? `${commits.length} states of the files` : `commit ${commits[0] ?? 'unknown'}`,
  ]
  const machines = unique(ran.map(({ report: { machine } }) => machineName(machine)))
  const accelerators = unique(ran.flatMap(({ report }) => report.accelerator ?? []))
  const where = [
    on.length === 0 ? '' : `Helpers: ${on.join(' and ')}.`,
    accelerators.length === 0 ? '' : `VMs by ${accelerators.map(acceleratorName).join(' and ')}.`,
    ...machines.map((machine) => `${machine}.`),
  ]
  return `<header>
<p class="over">${escapedLine(over.join(' · '))}</p>
<div class="verdict">${sign(kind)}<div><h1>${escapedLine(sentence)}.</h1>
<p>The promise is that no state survives a dispatch, no one gets out of the VM, and no lie passes. These gates try to break it on real VMs. ${escapedLine(where.filter((one) => one !== '').join(' '))}</p></div></div>
</header>`
}

export const machineName = (machine: Reported['report']['machine']): string =>
  `${machine.cpu}, ${machine.cpus} cores, ${Math.round(machine.memory_mib / 1024)} GiB, ${machine.host_os}, Node ${machine.node.replace(/^v/, '')}`

function figures(trials: readonly Trial[]): string {
  const of = tally(allCells(trials))
  const took = reported(trials).reduce((sum, { report }) => sum + tookOf(report), 0)
  const gates = missing(trials).length
  const tiles: [string, string, string, string?][] = [
    ['Held', count(of.held), 'promises, each on a helper'],
    ['Broken', count(of.broken), of.broken === 0 ? 'none' : 'listed below', of.broken > 0 ? 'bad' : ''],
    [
      'Not run',
      count(of['not run']),
      gates === 0 ? 'never counted as held' : `and ${gates} ${gates === 1 ? 'gate' : 'gates'} not at all`,
    ],
    ['Tries', count(of.tries), 'inputs, attacks, dispatches'],
    ['Time', duration(took), 'of all runs'],
  ]
  return `<dl class="figures">${tiles
    .map(
      ([name, value, small, tone = '']) =>
        `<div><dt>${name}</dt><dd class="${tone}">${value}<small>${escapedLine(small)}</small></dd></div>`,
    )
    .join('')}</dl>`
}

function attention(trials: readonly Trial[]): string {
  const broken = findings(trials, 'broken')
  const notRun = findings(trials, 'not run')
  const gone = missing(trials)
  if (broken.length + notRun.length + gone.length === 0) return ''
  const reasons = new Map<string, Finding[]>()
  for (const one of notRun) reasons.set(one.cell.reason, [...(reasons.get(one.cell.reason) ?? []), one])
  const content = [
    ...broken.map(brokenPromise),
    ...(gone.length === 0 ? [] : [goneGates(gone)]),
    ...[...reasons].map(notRunBecause),
  ]
  const title = broken.length > 0 ? 'What broke, and what was not run' : 'What was not run'
  return section(title, 'Nothing here counts as held.', content.join(''))
}

const brokenPromise = ({ row, cell }: Finding): string =>
  `<div class="panel finding broken"><h3>${escapedLine(row.promise)}</h3><p class="who">Broken · ${escapedLine(titleOf(cell.trial.job))} · <code>${escapedLine(row.id)}</code></p><pre tabindex="0">${escaped(cell.reason)}</pre></div>`

const goneGates = (gone: Missing[]): string =>
  `<div class="panel finding"><h3>${gone.length === 1 ? 'A gate was not run' : `${gone.length} gates were not run`}</h3>${facts(gone.map(({ job, why }) => [titleOf(job), why]))}</div>`

/** Promises that were not run for one reason stand together. */
const notRunBecause = ([reason, all]: [string, Finding[]]): string =>
  `<div class="panel finding"><h3>${all.length === 1 ? escapedLine(all[0]?.row.promise ?? '') : `${all.length} promises`}</h3><p class="who">Not run · ${escapedLine(unique(all.map(({ cell }) => titleOf(cell.trial.job))).join(', '))} · ${all.map(({ row }) => `<code>${escapedLine(row.id)}</code>`).join(' ')}</p><p class="reason">${escaped(reason)}</p></div>`

const goal = (name: string, value: number, most: number): string =>
  `${name} ${duration(value)} (goal ${most} ms${value > most ? ', missed' : ''})`

const MOST_SLOW = 5

const slowSaid = ({ slow }: Sample, named: (id: string) => string): string => {
  if (slow.length === 0) return 'no promise alone has a p99 above the goal'
  const list = slow
    .slice(0, MOST_SLOW)
    .map(({ id, p99, asked }) => `${named(id)} ${duration(p99)} of ${count(asked)}`)
  const one = slow.length === 1 ? 'promise has' : 'promises have'
  const which = slow.length > MOST_SLOW ? ', the slowest' : ''
  return `${slow.length} ${one} a p99 above it${which}: ${list.join(', ')}`
}

export const statusSaid = (sample: Sample, named = (id: string): string => id): string => {
  const { ms, tried, silent } = sample
  const all = `${count(ms.length)} asked: ${goal('median', quantile(ms, 0.5), STATUS_GOAL.p50)}, ${goal('p99', quantile(ms, 0.99), STATUS_GOAL.p99)}`
  const none = `${silent === 0 ? 'none' : silent} of ${tried} promises ${silent === 1 ? 'was' : 'were'} tried without one`
  return `${all}; ${slowSaid(sample, named)}; ${none}.`
}

function status(samples: readonly Sample[]): string {
  if (samples.length === 0) return ''
  const panels = samples.map(
    (sample) =>
      `<div class="panel"><div class="title"><h3>${escapedLine(titleOf(sample.job))}</h3></div><p class="reason">${escapedLine(statusSaid(sample))}</p>${both((width) => statusPlot(sample, width))}</div>`,
  )
  return section(
    'A status while attacked',
    'How soon the helper or the app said how it was, asked again and again during every attack. The goal is reported, and nothing fails by it.',
    panels.join(''),
  )
}

function wear({ job, report: { series } }: Reported): string {
  if (series.length === 0 || series.every(({ values }) => values.length === 0)) return ''
  const n = Math.max(...series.map(({ values }) => values.length))
  return section(
    `${count(n)} dispatches in a row${job.helper === null ? '' : `, ${HELPER[job.helper]}`}`,
    'The band is the range, the line the mean; across it the straight line through all, with the 95 % interval of its slope. Level is an upper end below 1 % of the mean in 1000. Times have in them what the machine does in an hour: theirs is judged by dispatches of the worn app beside those of a fresh one.',
    `<div class="panel"><div class="plots">${series.map((one) => inline(seriesPlot(one, PANEL))).join('')}</div></div>`,
  )
}

function run(trial: Trial): string {
  const { job } = trial
  const title = `<div class="title"><h3>${TITLE[job.gate]}</h3><span class="badge">${job.helper === null ? 'both helpers' : HELPER[job.helper]}</span></div>`
  if (trial.report === null)
    return `<div class="panel">${title}<p class="reason">Not run: ${escapedLine(trial.why)}.</p></div>`
  const { report } = trial
  const of = tally(report.items.map((item): Cell => ({ trial, outcome: item.outcome, reason: '', item })))
  const rows: [string, string][] = [
    ['Outcome', said(of)],
    ['Tries', count(of.tries)],
    ...(report.accelerator === null
      ? []
      : [['Accelerator', report.accelerator.toUpperCase()] satisfies [string, string]]),
    ['Began', when(report.started_at)],
    ['Took', duration(tookOf(report))],
    ['Commit', commitsOf(report)],
    ...(report.seed === 0 ? [] : [['Seed', String(report.seed)] satisfies [string, string]]),
    ...(report.interrupted ? [['Cut off', 'yes'] satisfies [string, string]] : []),
  ]
  return `<div class="panel">${title}${share(of)}<p class="reason">${WHAT[job.gate]}</p>${facts(rows)}</div>`
}

const promises = ({ gate, columns, groups }: Section): string =>
  `<h3>${TITLE[gate]}</h3>${groups.map((group) => groupOf(group, columns)).join('')}`

function groupOf(group: Group, columns: Reported[]): string {
  const of = tally(cellsOf([group]))
  const head = columns.map((column) => `<th class="cell">${escapedLine(columnName(column))}</th>`).join('')
  const rows = group.rows.map(
    ({ id, promise, attacker, cells }) =>
      `<tr><td><div class="promise">${escapedLine(promise)}</div><small><code>${escapedLine(id)}</code>${attacker === undefined ? '' : ` · by ${escapedLine(attacker)}`}</small>${cells.map(reasonOf).join('')}</td>${cells.map(cellOf).join('')}</tr>`,
  )
  return `<details${of.broken > 0 ? ' open' : ''}><summary><b>${escapedLine(group.name)}</b>${share(of)}<span>${said(of)}</span></summary><div class="table"><table><thead><tr><th>Promise</th>${head}</tr></thead><tbody>${rows.join('')}</tbody></table></div></details>`
}

const cellOf = ({ trial, outcome, item }: Cell): string =>
  `<td class="cell" data-run="${escapedLine(columnName(trial))}"><p>${sign(outcome)} ${outcome}</p>${item === null || item.ms === 0 ? '' : `<small>${duration(item.ms)}${item.count > 1 ? `, ${count(item.count)}×` : ''}</small>`}</td>`

const LONGEST = 600

function reasonOf({ trial, outcome, reason }: Cell): string {
  if (reason === '') return ''
  const name = trial.job.helper === null ? '' : `${HELPER[trial.job.helper]}, `
  const shown = reason.length > LONGEST ? `${reason.slice(0, LONGEST)}…` : reason
  return `<p class="reason"><b>${name}${outcome}:</b> ${escaped(shown)}</p>`
}

function footer(trials: readonly Trial[]): string {
  const commits = unique(reported(trials).map(({ report }) => commitsOf(report)))
  const mixed =
    commits.length > 1
      ? `<p>These reports are not all of one commit: ${escapedLine(commits.join(', '))}.</p>`
      : ''
  return `<footer>${mixed}<p>“+” behind a commit: files differed from it, and the digest says in which way. What was not run has not passed. Times under TCG, which emulates, say nothing about a Mac; the vz helper ran on a stand-in of Virtualization.framework with QEMU behind it.</p><p><code>npm run gates</code> made this page.</p></footer>`
}
