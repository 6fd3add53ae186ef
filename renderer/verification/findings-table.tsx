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
  const full = whole && finding.verdict !== 'agrees' ? finding.full : null
  const short = finding.full === null ? undefined : 'short'
  return (
    <>
      <tr className={finding.verdict}>
        <th scope="row">
          {finding.title}
          <span className="under">{finding.asked}</span>
        </th>
        <td className={short} title={finding.full?.found}>
          {visibleLine(finding.found)}
        </td>
        <td className={short} title={finding.full?.expected}>
          {visibleLine(finding.expected)}
        </td>
        <td className="verdict">
          <span className="inline-mark">
            <Mark shape={look.shape} tone={look.tone} size={14} />
            {look.word}
          </span>
        </td>
      </tr>
      {full !== null && (
        <tr className={`${finding.verdict} whole`}>
          <td colSpan={4}>
            <dl>
              <dt>Found</dt>
              <dd>{visibleLine(full.found)}</dd>
              <dt>Expected</dt>
              <dd>{visibleLine(full.expected)}</dd>
            </dl>
          </td>
        </tr>
      )}
    </>
  )
}
