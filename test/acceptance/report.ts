import type { Outcome } from './steps.ts'

export type Report = {
  /** False where the stand-in took the framework's place. */
  is_mac: boolean
  at: string
  machine: string
  commit: string
  image_digest: string
  outcomes: Outcome[]
}

const MARK = { passed: '✓', failed: '✗', 'not run': '–' } as const

/** One line of a Markdown table holds no line break and no bar of its own. */
const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll(/\s*\n\s*/g, ' ')

const facts = ({ facts, reason }: Outcome) =>
  [
    ...(reason === undefined ? [] : [reason.slice(0, 600)]),
    ...Object.entries(facts).map(([name, value]) => `${name}: ${String(value)}`),
  ].join('; ')

export const count = (report: Report, verdict: Outcome['verdict']): number =>
  report.outcomes.filter((outcome) => outcome.verdict === verdict).length

/** The report as it is attached to an issue. */
export function markdown(report: Report): string {
  const title = report.is_mac ? 'Acceptance on a Mac' : 'Acceptance rehearsed on the stand-in'
  const warning = report.is_mac
    ? ''
    : '\n**This was no Mac.** The stand-in of Virtualization.framework ran under emulation: the steps and the helper were exercised, Apple’s framework was not, and no time below says anything about a Mac.\n'
  return `# ${title}
${warning}
- ${report.at}
- ${report.machine}
- commit ${report.commit}, image ${report.image_digest}
- ${count(report, 'passed')} passed, ${count(report, 'failed')} failed, ${count(report, 'not run')} not run

| | step | seconds | found |
| --- | --- | --- | --- |
${report.outcomes
  .map(
    (one) =>
      `| ${MARK[one.verdict]} | ${cell(one.title)} | ${(one.ms / 1000).toFixed(1)} | ${cell(facts(one))} |`,
  )
  .join('\n')}
`
}
