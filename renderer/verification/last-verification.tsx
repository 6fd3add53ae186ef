import { visibleLine } from '../format/hostile.ts'
import { milliseconds } from '../format/numbers.ts'
import { MachineTag } from '../parts/machine-tag.tsx'
import { Mark } from '../parts/mark.tsx'
import { Empty, Panel } from '../parts/panel.tsx'
import { RelativeTime } from '../parts/relative-time.tsx'
import type { ResetReport } from '../protocol.ts'
import { useStore } from '../store/index.ts'
import { FindingsTable } from './findings-table.tsx'
import { wipeSentences } from './findings.ts'

/** The proof of the last wipe: why the next dispatch may trust what it is given. */
export function LastVerification() {
  const report = useStore((state) => state.snapshot?.resets[0] ?? state.snapshot?.helper?.last_reset ?? null)
  return (
    <Panel title="Last wipe" className="proof" aside={report !== null && <MachineTag />}>
      {report === null ? (
        <Empty title="Nothing to prove yet">
          After the first dispatch the VM is replaced, and what shows that it was stands here.
        </Empty>
      ) : (
        <Proof report={report} />
      )}
    </Panel>
  )
}

export function Proof({ report }: { report: ResetReport }) {
  const passed = report.verification_passed
  return (
    <>
      <p className="proof-verdict">
        <Mark shape={passed ? 'check' : 'cross'} tone={passed ? 'ok' : 'bad'} size={22} />
        <span>
          <strong>{passed ? 'Wiped and verified' : 'Not verified'}</strong>
          <span className="under">
            <RelativeTime stamp={report.reset_at} />, waited for {milliseconds(report.total_ms)}
          </span>
        </span>
      </p>
      <FindingsTable report={report} />
      <details className="more">
        <summary>What the wipe’s own proof says</summary>
        <ul>
          {wipeSentences(report).map((sentence) => (
            <li key={sentence}>{visibleLine(sentence)}</li>
          ))}
        </ul>
      </details>
    </>
  )
}
