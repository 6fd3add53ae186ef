import { visible } from '../format/hostile.ts'
import type { WireError } from '../protocol.ts'
import { Mark } from './mark.tsx'
import { Prose } from './prose.tsx'

const LAYERS: Record<NonNullable<WireError['layer']>, string> = {
  app: 'The app',
  helper: 'The helper',
  hypervisor: 'The hypervisor',
  guest: 'The guest',
  agent: 'The agent',
}

/** An error as a person needs it: what happened, what to do, and below that who says so and why. */
export function ErrorNote({ error, onDismiss }: { error: WireError; onDismiss?: () => void }) {
  return (
    <div className="note bad">
      <Mark shape="alert" tone="bad" />
      <div className="note-body">
        <p className="note-title">
          <Prose text={error.message} />
        </p>
        {error.next_step !== undefined && (
          <p>
            <Prose text={error.next_step} />
          </p>
        )}
        <p className="note-meta">
          {error.layer !== undefined && <span>{LAYERS[error.layer]}</span>}
          <code>{error.code}</code>
        </p>
        {error.details !== undefined && (
          <details>
            <summary>Details</summary>
            <pre className="raw" tabIndex={0}>
              {visible(error.details)}
            </pre>
          </details>
        )}
      </div>
      {onDismiss !== undefined && (
        <button type="button" className="button quiet small" onClick={onDismiss}>
          Dismiss
        </button>
      )}
    </div>
  )
}
