import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { escapeLine } from '../../cli/format/escape.ts'
import { repository } from '../support/image.ts'
import type { Which } from '../support/helper-binary.ts'
import { runInGroup } from './child.ts'
import { INTERRUPTED, untilInterrupted, UsageError } from './command.ts'
import { allCells, findings, reported, tally, titleOf, verdict } from './facts.ts'
import { isGood, runJobs } from './jobs.ts'
import { page } from './page.ts'
import { GATES, gateNamed, helperNamed, type Choice } from './plan.ts'
import { code, MARK, REPORTS } from './report.ts'
import { duration } from './svg.ts'
import { terminalTable } from './terminal-table.ts'
import { writeDocs } from './validation.ts'

const HELP = `npm run gates -- [--slice] [--helper qemu|vz]… [--only GATE]… [--fresh] [--docs] [--json]

Runs every gate on both helpers: ${GATES.join(', ')}. Ended by Ctrl-C or by a fault, the next run goes on where it was: what
has a report of these very files (documents aside) is not run again, whether it lies in out/gates or is published. Ends
with 0 if nothing that was asked for is broken.

  --slice        a slice of each, for CI: under five minutes
  --helper NAME  only on this helper; may be given twice
  --only GATE    only this gate; may be given more than once
  --fresh        runs again what has a report
  --docs         also writes docs/validation.md, its pictures and the reports beside it
  --json         all reports on stdout, in place of the table

The page is out/gates/report.html (report-slice.html of a slice), the reports lie beside it.`

type Asked = Choice & { fresh: boolean; docs: boolean; json: boolean }

function readArguments(): Asked | 'help' {
  const { values } = parseArgs({
    options: {
      slice: { type: 'boolean', default: false },
      helper: { type: 'string', multiple: true, default: [] },
      only: { type: 'string', multiple: true, default: [] },
      fresh: { type: 'boolean', default: false },
      docs: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  const known = <T>(option: string, names: string[], find: (name: string) => T | undefined): T[] =>
    names.map((name) => {
      const found = find(name)
      if (found === undefined) throw new UsageError(`--${option} does not know ${name}.`)
      return found
    })
  const { slice, fresh, docs, json } = values
  const helpers: Which[] = known('helper', values.helper, helperNamed)
  return { slice, fresh, docs, json, helpers, only: known('only', values.only, gateNamed) }
}

const say = (line: string): void => console.error(line)

async function run(asked: Asked, signal: AbortSignal): Promise<number> {
  const since = performance.now()
  const { trials, wanted } = await runJobs(asked, signal, {
    folder: REPORTS,
    code,
    say,
    start: (args) => runInGroup(process.execPath, ['--import', 'tsx', ...args], { cwd: repository, signal }),
  })
  mkdirSync(REPORTS, { recursive: true })
  const path = join(REPORTS, asked.slice ? 'report-slice.html' : 'report.html')
  writeFileSync(path, page(trials))
  if (asked.json)
    console.log(
      JSON.stringify({ schema: 'bsm-gates/1', reports: reported(trials).map(({ report }) => report) }),
    )
  else console.log(`\n${terminalTable(trials)}\n`)
  for (const { row, cell } of findings(wanted, 'broken'))
    say(escapeLine(`${MARK.broken} ${titleOf(cell.trial.job)}: ${row.id}: ${cell.reason}`))
  const took = duration(performance.now() - since)
  say(
    `${verdict(trials).sentence}; ${tally(allCells(trials)).tries} tries; this run took ${took}\n  page: ${path}`,
  )
  if (asked.docs) say(`  documentation: ${await writeDocs(trials)}`)
  if (signal.aborted) return INTERRUPTED
  return wanted.length > 0 && wanted.every(isGood) ? 0 : 1
}

function refuse(error: unknown): null {
  console.error(`${error instanceof Error ? error.message : String(error)}\n\n${HELP}`)
  process.exitCode = 64
  return null
}

let asked: Asked | 'help' | null
try {
  asked = readArguments()
} catch (error) {
  asked = refuse(error)
}
if (asked === 'help') console.log(HELP)
else if (asked !== null) {
  const { signal, done } = untilInterrupted()
  try {
    process.exitCode = await run(asked, signal)
  } finally {
    done()
  }
}
