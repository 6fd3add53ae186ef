import { visibleLine } from '../format/hostile.ts'
import { Mark, type Shape, type Tone } from '../parts/mark.tsx'
import type { ResetReport } from '../protocol.ts'
import { findingsOf, type Finding, type Verdict } from './findings.ts'

const LOOK: Record<Verdict, { word: string; shape: Shape; tone: Tone }> = {
  agrees: { word: 'agrees', shape: 'check', tone: 'ok' },
  differs: { word: 'differs', shape: 'cross', tone: 'bad' },
  silent: { word: 'silent', shape: 'dash', tone: 'warn' },
}

/** The wipe's proof and the three sources: value, baseline, verdict. */
export function FindingsTable({ report, whole = false }: { report: ResetReport; whole?: boolean }) {
  return (
    <table className="findings">
      <thead>
        <tr>
          <th scope="col">Source</th>
          <th scope="col">Found</th>
          <th scope="col">Expected</th>
          <th scope="col">
            <span className="sr-only">Verdict</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {findingsOf(report).map((finding) => (
          <Row key={finding.source} finding={finding} whole={whole} />
        ))}
      </tbody>
    </table>
  )
}

function Row({ finding, whole }: { finding: Finding; whole: boolean }) {
  const look = LOOK[finding.verdict]
  const full = whole ? finding.full : null
  const values = full ?? finding
  const style = full === null ? undefined : 'whole'
  return (
    <tr className={finding.verdict}>
      <th scope="row">
        {finding.title}
        <span className="under">{finding.asked}</span>
      </th>
      <td className={style} title={finding.full?.found}>
        {visibleLine(values.found)}
      </td>
      <td className={style} title={finding.full?.expected}>
        {visibleLine(values.expected)}
      </td>
      <td className="verdict">
        <span className="inline-mark">
          <Mark shape={look.shape} tone={look.tone} size={14} />
          {look.word}
        </span>
      </td>
    </tr>
  )
}
