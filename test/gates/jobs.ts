import { statSync } from 'node:fs'
import { JOBS, nameOf, PROGRAM, whyNot, type Choice, type Job } from './plan.ts'
import type { Trial } from './facts.ts'
import { isStillTrue, lastReport, passed, readReport, reportPath, summary } from './report.ts'

export type Surroundings = {
  /** Where the gates leave their reports. */
  folder: string
  /** Digest of the files as they are now (report.ts). */
  code: () => string
  say: (line: string) => void
  /** Runs a gate's program to its end, and gives its exit code. */
  start: (args: string[]) => Promise<number | null>
}

export type Trials = {
  /** All of the plan, for the page. */
  trials: Trial[]
  /** Those that were asked for now. */
  wanted: Trial[]
}

/** Runs what was asked for and has no report that is still true, one after the other. */
export async function runJobs(
  asked: Choice & { fresh: boolean },
  signal: AbortSignal,
  around: Surroundings,
): Promise<Trials> {
  const trials: Trial[] = []
  const wanted: Trial[] = []
  for (const job of JOBS) {
    const why = whyNot(job, asked)
    const trial =
      why === null ? await made(job, asked, signal, around) : earlier(job, why, asked.slice, around)
    trials.push(trial)
    if (why === null) wanted.push(trial)
  }
  return { trials, wanted }
}

const pathOf = ({ gate, helper }: Job, slice: boolean, folder: string): string =>
  reportPath({ gate, helper, slice, asked: [] }, folder)

async function made(
  job: Job,
  { slice, fresh }: { slice: boolean; fresh: boolean },
  signal: AbortSignal,
  { folder, code, say, start }: Surroundings,
): Promise<Trial> {
  const path = pathOf(job, slice, folder)
  const kept = lastReport(path)
  if (!fresh && kept !== null && isStillTrue(kept, code())) {
    say(`= ${summary(kept)}; kept from ${kept.finished_at}`)
    return { job, report: kept }
  }
  if (signal.aborted) return { job, report: null, why: 'cut off before it began' }
  say(`\n▸ ${nameOf(job)}${slice ? ', a slice' : ''}`)
  const before = fileOf(path)
  const ended = await start([
    PROGRAM[job.gate],
    ...(job.helper === null ? [] : ['--helper', job.helper]),
    ...(slice ? ['--slice'] : []),
    ...(fresh ? ['--fresh'] : []),
  ])
  // An old report must not be taken for that of a run that left none.
  const report = fileOf(path) === before ? null : readReport(path)
  return report === null
    ? { job, report, why: `it ended with ${ended ?? 'a signal'} and left no report` }
    : { job, report }
}

/** Which file lies at a path: each report is a new one (report.ts). */
const fileOf = (path: string): bigint | undefined =>
  statSync(path, { bigint: true, throwIfNoEntry: false })?.ino

/** What was not asked for now may have a report of an earlier run. */
function earlier(job: Job, why: string, slice: boolean, { folder }: Surroundings): Trial {
  const report = lastReport(pathOf(job, slice, folder))
  return report === null ? { job, report, why } : { job, report }
}

/** It was run to its end, and nothing of it is broken. */
export const isGood = ({ report }: Trial): boolean => report !== null && !report.interrupted && passed(report)
