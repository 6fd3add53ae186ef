import { useId, useState, type FormEvent } from 'react'
import { visible, visibleLine } from '../format/hostile.ts'
import { dayAndTime } from '../format/numbers.ts'
import { CopyButton } from '../parts/copy-button.tsx'
import { Mark } from '../parts/mark.tsx'
import { RelativeTime } from '../parts/relative-time.tsx'
import type { Degraded } from '../protocol.ts'
import { recover, useStore } from '../store/index.ts'
import { FindingsTable } from './findings-table.tsx'

const SOURCES: Record<string, string> = {
  wipe: 'the wipe’s own proof',
  fs_hash: 'the disk',
  open_fd_count: 'the open descriptors',
  vmm_api_state: 'the VM state',
}

/** Takes over the page: a reset could not be shown to have happened, so nothing runs until a person acts. */
export function Divergence({ degraded }: { degraded: Degraded }) {
  const silent = degraded.code === 'RESET_VERIFICATION_TIMEOUT'
  const names = degraded.sources.map((source) => SOURCES[source] ?? visibleLine(source)).join(' and ')
  return (
    <section className="divergence" aria-labelledby="divergence">
      <div className="divergence-head">
        <Mark shape="alert" tone="bad" size={40} />
        <div>
          <h2 id="divergence">{silent ? 'The wipe could not be checked' : 'The wipe did not check out'}</h2>
          <p className="lead">
            {names === ''
              ? 'The last reset was not verified.'
              : silent
                ? `No answer about ${names}, twice.`
                : `What was found of ${names} is not what had to be there.`}{' '}
            Every dispatch is refused until a person decides.
          </p>
        </div>
      </div>
      <div className="to-choices">
        <button type="button" className="button" onClick={() => goTo('inspect')}>
          Look into it
        </button>
        <button type="button" className="button danger" onClick={() => goTo('recover')}>
          Recover
        </button>
      </div>
      <p>{visible(degraded.message)}</p>
      <p className="note-meta">
        <span>
          Since <time dateTime={degraded.since}>{dayAndTime(degraded.since)}</time> (
          <RelativeTime stamp={degraded.since} />)
        </span>
        <code>{degraded.code}</code>
      </p>
      {degraded.report === null ? (
        <p className="quiet-text">The reset ended before it could report its sources.</p>
      ) : (
        <FindingsTable report={degraded.report} whole />
      )}
      <div className="choices">
        <Inspect degraded={degraded} />
        <Recover />
      </div>
    </section>
  )
}

/** Where the choices are out of sight below what disagreed. */
function goTo(choice: 'inspect' | 'recover'): void {
  const heading = document.getElementById(choice)
  heading?.scrollIntoView({ block: 'start' })
  heading?.parentElement?.querySelector<HTMLElement>('input, button')?.focus({ preventScroll: true })
}

function Inspect({ degraded }: { degraded: Degraded }) {
  const version = useStore((state) => state.snapshot?.version ?? '')
  const report = JSON.stringify({ version, ...degraded }, null, 2)
  return (
    <section className="choice" aria-labelledby="inspect">
      <h3 id="inspect">Look into it</h3>
      <p>
        Keep the report before anything else. Under Diagnostics the audit log is checked, and a support bundle
        made.
      </p>
      <CopyButton text={report} label="Copy report" quiet={false} />
      <details className="more">
        <summary>Read the report here</summary>
        <pre className="raw" tabIndex={0} role="group" aria-label="Report">
          {visible(report)}
        </pre>
      </details>
    </section>
  )
}

function Recover() {
  const id = useId()
  const [reason, setReason] = useState('')
  const [tried, setTried] = useState(false)
  const busy = useStore((state) => state.pending.has('recover'))
  const offline = useStore((state) => state.connection.kind !== 'open')
  const length = reason.trim().length
  const wrong =
    length < 3 ? 'Say why, in at least three characters.' : length > 500 ? 'At most 500 characters.' : null
  const submit = (event: FormEvent) => {
    event.preventDefault()
    setTried(true)
    if (wrong === null && !busy && !offline) void recover(reason.trim())
  }
  return (
    <section className="choice" aria-labelledby="recover">
      <h3 id="recover">Recover</h3>
      <p>A new VM is made from a verified image. Your reason goes into the audit log.</p>
      <form onSubmit={submit} noValidate>
        <label htmlFor={id}>Reason</label>
        <input
          id={id}
          className="input"
          value={reason}
          maxLength={500}
          autoComplete="off"
          aria-invalid={tried && wrong !== null}
          aria-describedby={`${id}-error`}
          onChange={(event) => setReason(event.target.value)}
        />
        <p id={`${id}-error`} className="field-error" aria-live="polite">
          {tried && wrong}
        </p>
        <button type="submit" className="button danger" disabled={offline} aria-disabled={busy}>
          {busy ? 'Recovering…' : 'Recover'}
        </button>
      </form>
    </section>
  )
}
