import { clockTime, milliseconds } from '../format/numbers.ts'
import { ErrorNote } from '../parts/error-note.tsx'
import { Mark } from '../parts/mark.tsx'
import type { ResetReport } from '../protocol.ts'
import { FindingsTable } from '../verification/findings-table.tsx'
import { PATH_WORDS, stackPhases, type Part } from './phases.ts'

/** One reset in full: its phases by name and time, and by what it was judged. */
export function ChosenReset({ report }: { report: ResetReport }) {
  const stack = stackPhases(report)
  return (
    <div className="chosen-reset">
      <h3>
        <span className="inline-mark">
          <Mark
            shape={report.verification_passed ? 'check' : 'cross'}
            tone={report.verification_passed ? 'ok' : 'bad'}
            size={14}
          />
          {report.verification_passed ? 'Verified' : 'Not verified'}
        </span>
        <span className="quiet-text">
          {clockTime(report.reset_at)} · {PATH_WORDS[report.reset_path].toLowerCase()}
        </span>
      </h3>
      <Bar label="Waited for" total={stack.waitedMs} parts={stack.waited} />
      {stack.aheadMs > 0 && <Bar label="Done ahead" total={stack.aheadMs} parts={stack.ahead} ahead />}
      {report.error !== undefined && <ErrorNote error={report.error} />}
      <details className="more">
        <summary>Its verification</summary>
        <FindingsTable report={report} />
      </details>
    </div>
  )
}

function Bar(props: { label: string; total: number; parts: readonly Part[]; ahead?: boolean }) {
  return (
    <div className={props.ahead === true ? 'bar ahead' : 'bar'}>
      <p className="bar-label">
        <span>{props.label}</span>
        <span className="num">{milliseconds(props.total)}</span>
      </p>
      <div className="bar-track" aria-hidden="true">
        {props.parts.map((part) => (
          <span
            key={part.name}
            className={`phase-${part.name}`}
            style={{ flexGrow: part.ms }}
            title={`${part.name} ${milliseconds(part.ms)}`}
          />
        ))}
      </div>
      <ul className="legend">
        {props.parts.map((part) => (
          <li key={part.name}>
            <span className={`swatch phase-${part.name}`} aria-hidden="true" />
            {part.name} <span className="num">{milliseconds(part.ms)}</span>
          </li>
        ))}
      </ul>
    </div>
  )
}
