import { useId, useState } from 'react'
import { visibleLine } from '../format/hostile.ts'
import { milliseconds } from '../format/numbers.ts'
import { ErrorNote } from '../parts/error-note.tsx'
import { Mark } from '../parts/mark.tsx'
import { RelativeTime } from '../parts/relative-time.tsx'
import type { DispatchRecord } from '../protocol.ts'
import { cancel, useStore } from '../store/index.ts'
import { EvidenceLine } from './evidence-line.tsx'
import { outcomeOf } from './outcome.ts'
import { RecordedOutput } from './recorded-output.tsx'

export function DispatchItem({ record }: { record: DispatchRecord }) {
  const [open, setOpen] = useState(false)
  const id = useId()
  const outcome = outcomeOf(record)
  const running = record.state === 'queued' || record.state === 'running'
  return (
    <li className={open ? 'dispatch open' : 'dispatch'}>
      <div className="dispatch-row">
        <button
          type="button"
          className="dispatch-toggle"
          aria-expanded={open}
          aria-controls={id}
          onClick={() => setOpen(!open)}
        >
          <Mark shape={outcome.shape} tone={outcome.tone} />
          <span className="dispatch-what">
            <code>{visibleLine(record.tool)}</code>
            <span className="under">
              {visibleLine(record.client)}, <RelativeTime stamp={record.queued_at} />
            </span>
          </span>
          <span className="dispatch-how">
            {outcome.word}
            <span className="under num">
              {record.duration_ms === null ? '' : milliseconds(record.duration_ms)}
            </span>
          </span>
          <Chevron />
        </button>
        {running && <Cancel record={record} />}
      </div>
      <div id={id} className="dispatch-body" hidden={!open}>
        {open && <Body record={record} />}
      </div>
    </li>
  )
}

function Body({ record }: { record: DispatchRecord }) {
  return (
    <>
      {record.error !== null && <ErrorNote error={record.error} />}
      <RecordedOutput record={record} />
      <EvidenceLine commandId={record.command_id} hash={record.evidence_hash} />
      {record.reset_passed === true && (
        <p className="inline-mark quiet-text">
          <Mark shape="check" tone="ok" size={13} /> The VM it ran in was wiped, and the wipe verified.
        </p>
      )}
    </>
  )
}

function Cancel({ record }: { record: DispatchRecord }) {
  const offline = useStore((state) => state.connection.kind !== 'open')
  return (
    <button
      type="button"
      className="button small"
      disabled={offline}
      aria-label={`Cancel ${visibleLine(record.tool)} of ${visibleLine(record.client)}`}
      onClick={() => void cancel(record.command_id)}
    >
      Cancel
    </button>
  )
}

const Chevron = () => (
  <svg className="chevron" width="12" height="12" viewBox="0 0 12 12" aria-hidden="true" focusable="false">
    <path d="m4.2 2.5 3.6 3.5-3.6 3.5" className="stroke" />
  </svg>
)
