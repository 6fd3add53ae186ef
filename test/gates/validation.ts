import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { format, resolveConfig } from 'prettier'
import { visible, visibleLine } from '../../renderer/format/hostile.ts'
import { repository } from '../support/image.ts'
import {
  acceleratorName,
  allCells,
  cellsOf,
  commitsOf,
  findings,
  HELPER,
  missing,
  reported,
  sections,
  statusSamples,
  tally,
  TITLE,
  titleOf,
  tookOf,
  verdict,
  WHAT,
  type Cell,
  type Finding,
  type Reported,
  type Section,
  type Trial,
} from './facts.ts'
import { columnName, machineName, said, statusSaid, unique, when } from './page.ts'
import { outcomesPlot, statusPlot, timesPlot } from './plots.ts'
import { MARK, reportPath } from './report.ts'
import { figure, seriesPlot, slopeOfSeries } from './series-plot.ts'
import { count, duration, standalone } from './svg.ts'

/** `docs/validation.md`, its pictures, and the reports that both are made of. */

const SPECIAL = /[\\`*_{}[\]<>#|~&!:@$]/g
/** Text that may be anything, on one line of Markdown, in a table or outside. */
export const inMarkdown = (text: string): string =>
  visibleLine(text.trim().replaceAll(/\s*\n\s*/g, ' ⏎ ')).replaceAll(
    SPECIAL,
    (one) => `&#${one.charCodeAt(0)};`,
  )

/** The same as code, where nothing but a longer run of backticks ends it. */
function asCode(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length))
  const fence = '`'.repeat(longest + 1)
  return `${fence}text\n${visible(text)}\n${fence}`
}

const code = (id: string): string => (/^[\w.-]+$/.test(id) ? `\`${id}\`` : inMarkdown(id))

const table = (head: string[], rows: string[][]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')

const fileOf = ({ report }: Reported): string => reportPath(report).replace(/^.*\//, '')

type Image = { file: string; svg: string; alt: string }

export function images(trials: readonly Trial[]): Record<'all' | 'status' | 'wear', Image[]> {
  const groups = sections(trials).flatMap(({ groups }) => groups)
  const image = (name: string, alt: string, svg: string): Image => ({
    file: `validation-${name}.svg`,
    alt,
    svg,
  })
  const samples = statusSamples(trials)
  return {
    all:
      groups.length === 0
        ? []
        : [
            image(
              'outcomes',
              'Promises by group and outcome',
              standalone('Promises by group and outcome', [outcomesPlot(groups, 820)]),
            ),
            image(
              'times',
              'Time of each promise',
              standalone('Time of each promise', [timesPlot(groups, 820)]),
            ),
          ],
    status: samples.map((sample) => {
      const title = `A status while attacked: ${titleOf(sample.job)}`
      return image(
        `status-${sample.job.gate}-${sample.job.helper ?? 'all'}`,
        title,
        standalone(title, [statusPlot(sample, 820)]),
      )
    }),
    wear: reported(trials)
      .filter(({ report }) => report.series.some(({ values }) => values.length > 0))
      .map(({ job, report }) => {
        const title = `Dispatches in a row: ${titleOf(job)}`
        const plots = report.series.map((one) => seriesPlot(one, 402))
        return image(`wear-${job.helper ?? 'all'}`, title, standalone(title, plots, 2))
      }),
  }
}

const pictures = (list: Image[]): string =>
  list.map(({ alt, file }) => `![${inMarkdown(alt)}](images/${file})`).join('\n\n')

export function document(trials: readonly Trial[]): string {
  const { sentence } = verdict(trials)
  const ran = reported(trials)
  const of = tally(allCells(trials))
  const plots = images(trials)
  const isSlice = ran.some(({ report }) => report.slice)
  const parts = [
    '# Validation',
    `\`npm run gates -- ${isSlice ? '--slice ' : ''}--docs\` wrote this page from the reports in [validation/](validation/). Times under TCG, which emulates, say nothing about a Mac; the vz helper ran on a stand-in of Virtualization.framework with QEMU behind it.`,
    `**${inMarkdown(sentence)}.** ${count(of.tries)} tries in all.${isSlice ? ' This is a slice, a quick look: it is not the full run.' : ''}`,
    table(
      ['run', 'outcome', 'tries', 'accelerator', 'began', 'took', 'commit', 'report'],
      trials.map(runRow),
    ),
    unique(ran.map(({ report }) => commitsOf(report))).length > 1
      ? 'The reports are not all of one commit.'
      : '',
    ...unique(ran.map(({ report }) => machineName(report.machine))).map(
      (machine) => `Machine: ${inMarkdown(machine)}.`,
    ),
    '## What broke',
    findings(trials, 'broken').map(brokenPromise).join('\n\n') || 'Nothing.',
    '## What was not run',
    'What was not run has not held, and is not counted as if it had.',
    notRun(trials),
    '## What was tried',
    ...sections(trials).map(groupTable),
    pictures(plots.all),
    plots.status.length === 0 ? '' : '## A status while attacked',
    statusSamples(trials)
      .map((sample) => `- ${titleOf(sample.job)}: ${statusSaid(sample, code)}`)
      .join('\n'),
    pictures(plots.status),
    plots.wear.length === 0 ? '' : '## Dispatches in a row',
    wear(ran),
    pictures(plots.wear),
    '## Every promise',
    ...sections(trials).map(promiseTable),
  ]
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`
}

function runRow(trial: Trial): string[] {
  const name = titleOf(trial.job)
  if (trial.report === null) return [name, `not run: ${inMarkdown(trial.why)}`, '', '', '', '', '', '']
  const { report } = trial
  const of = tally(report.items.map((item): Cell => ({ trial, outcome: item.outcome, reason: '', item })))
  const accelerator = report.accelerator === null ? '' : acceleratorName(report.accelerator)
  const file = fileOf(trial)
  return [
    name,
    said(of),
    count(of.tries),
    inMarkdown(accelerator),
    when(report.started_at),
    duration(tookOf(report)),
    `\`${commitsOf(report).replaceAll(/[^\w+, ]/g, '')}\``,
    `[${file}](validation/${file})`,
  ]
}

const brokenPromise = ({ row, cell }: Finding): string =>
  `### ${code(row.id)}, ${titleOf(cell.trial.job)}\n\nConsequence: this is not kept: “${inMarkdown(row.promise)}”\n\n${asCode(cell.reason)}`

/** Where else the same promise held, or that it was shown nowhere. */
function shownBy({ row, cell }: Finding): string {
  const held = row.cells
    .filter((one) => one !== cell && one.outcome === 'held')
    .map(({ trial }) => columnName(trial))
  return held.length === 0 ? 'shown by no run' : `shown on ${held.join(' and ')} alone`
}

function notRun(trials: readonly Trial[]): string {
  const gates = missing(trials).map(
    ({ job, why }) =>
      `- ${titleOf(job)}: ${inMarkdown(why)}. Consequence: none of its promises was tried there.`,
  )
  const rows = findings(trials, 'not run').map((one) => [
    code(one.row.id),
    titleOf(one.cell.trial.job),
    inMarkdown(one.cell.reason),
    `${shownBy(one)}: “${inMarkdown(one.row.promise)}”`,
  ])
  const list = rows.length === 0 ? '' : table(['promise', 'run', 'why', 'consequence'], rows)
  return [gates.join('\n'), list].filter((part) => part !== '').join('\n\n') || 'Nothing.'
}

function groupTable({ gate, columns, groups }: Section): string {
  const rows = groups.map(({ name, rows }) => [
    inMarkdown(name),
    ...columns.map((column) =>
      said(tally(rows.flatMap(({ cells }) => cells.filter(({ trial }) => trial === column)))),
    ),
    count(tally(rows.flatMap(({ cells }) => cells)).tries),
  ])
  return `### ${TITLE[gate]}\n\n${WHAT[gate]}\n\n${table(['group', ...columns.map(columnName), 'tries'], rows)}`
}

function wear(ran: readonly Reported[]): string {
  const soaked = ran.filter(({ report }) => report.series.length > 0)
  const rows = soaked.flatMap(({ job, report }) =>
    report.series
      .filter(({ values }) => values.length > 0)
      .map((one) => {
        const { mean, said } = slopeOfSeries(one)
        const helper = job.helper === null ? '' : HELPER[job.helper]
        return [
          inMarkdown(one.title),
          helper,
          count(one.values.length),
          inMarkdown(figure(mean, one.unit)),
          inMarkdown(said),
        ]
      }),
  )
  return rows.length === 0
    ? ''
    : table(['figure', 'helper', 'dispatches', 'mean', 'slope with its 95 % interval'], rows)
}

function promiseTable(section: Section): string {
  const rows = section.groups.flatMap(({ name, rows }) =>
    rows.map(({ id, promise, cells }) => [
      inMarkdown(name),
      code(id),
      inMarkdown(promise),
      ...cells.map(({ outcome }) => (outcome === 'held' ? MARK.held : `${MARK[outcome]} ${outcome}`)),
    ]),
  )
  const of = said(tally(cellsOf(section.groups)))
  return `<details>\n<summary>${TITLE[section.gate]}: ${of}</summary>\n\n${table(['group', 'id', 'promise', ...section.columns.map(columnName)], rows)}\n\n</details>`
}

/** A tenth of a millisecond is enough, and a page of digits less. */
const shorter = (_key: string, value: unknown): unknown =>
  typeof value === 'number' && !Number.isInteger(value) ? Math.round(value * 10) / 10 : value

/** Writes the page, its pictures and the reports below `docs`; what an earlier run left of them goes. */
export async function writeDocs(trials: readonly Trial[], docs = join(repository, 'docs')): Promise<string> {
  const page = join(docs, 'validation.md')
  const style = await resolveConfig(join(repository, 'docs/validation.md'))
  const folders = { images: join(docs, 'images'), reports: join(docs, 'validation') }
  for (const folder of Object.values(folders)) mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(folders.images))
    if (/^validation-.*\.svg$/.test(name)) rmSync(join(folders.images, name))
  for (const name of readdirSync(folders.reports))
    if (name.endsWith('.json')) rmSync(join(folders.reports, name))
  for (const { file, svg } of Object.values(images(trials)).flat())
    writeFileSync(join(folders.images, file), svg)
  for (const one of reported(trials)) {
    const filepath = join(folders.reports, fileOf(one))
    writeFileSync(filepath, await format(JSON.stringify(one.report, shorter), { ...style, filepath }))
  }
  writeFileSync(page, await format(document(trials), { ...style, filepath: page }))
  return page
}
