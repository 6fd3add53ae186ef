import { useMemo, useState, type FormEvent } from 'react'
import type { ToolSpec } from '../protocol.ts'
import { runTool, useStore } from '../store/index.ts'
import { DEFAULT_DEADLINE_S, parseDeadline } from './deadline.ts'
import { FieldView } from './field-view.tsx'
import { fieldsOf, initialValues, parseValues, type Params } from './schema-form.ts'

export function ToolForm({ tool, preset }: { tool: ToolSpec; preset: Params }) {
  const fields = useMemo(() => fieldsOf(tool), [tool])
  const [values, setValues] = useState(() => initialValues(fields, preset))
  const [deadline, setDeadline] = useState(DEFAULT_DEADLINE_S)
  const [tried, setTried] = useState(false)
  const running = useStore((state) => state.run.kind === 'running')
  const state = useStore((store) => (store.connection.kind === 'open' ? store.snapshot?.state : undefined))
  const accepts = state === 'ready' || state === 'dispatching' || state === 'resetting'
  const parsed = parseValues(fields, values)
  const within = parseDeadline(deadline)
  const errors = tried && !parsed.ok ? parsed.errors : {}
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    setTried(true)
    if (parsed.ok && within.ok) {
      if (accepts && !running) void runTool(tool.name, parsed.params, within.ms)
      return
    }
    const wrong = parsed.ok ? 'run-deadline' : `run-${Object.keys(parsed.errors)[0] ?? ''}`
    document.getElementById(wrong)?.focus()
  }
  return (
    <form className="tool-form" onSubmit={submit} noValidate>
      {fields.map((field) => (
        <FieldView
          key={field.name}
          field={field}
          value={values[field.name] ?? ''}
          error={errors[field.name]}
          onChange={(value) => setValues({ ...values, [field.name]: value })}
        />
      ))}
      <div className="run-line">
        <div className="field deadline">
          <label htmlFor="run-deadline">Deadline, seconds</label>
          <input
            id="run-deadline"
            className="input num"
            inputMode="decimal"
            autoComplete="off"
            value={deadline}
            aria-invalid={!within.ok}
            aria-describedby="run-deadline-error"
            onChange={(event) => setDeadline(event.target.value)}
          />
        </div>
        <button type="submit" className="button primary" disabled={!accepts} aria-disabled={running}>
          {running ? 'Running…' : 'Run'}
        </button>
      </div>
      <p id="run-deadline-error" className="field-error" aria-live="polite">
        {!within.ok && within.error}
      </p>
      {!accepts && <p className="quiet-text">{whyNot(state)}</p>}
    </form>
  )
}

function whyNot(state: string | undefined): string {
  switch (state) {
    case undefined:
      return 'Tools can be run once the page is connected.'
    case 'starting':
      return 'Tools can be run as soon as the sandbox is ready.'
    case 'stopped':
    case 'failed':
      return 'Start the sandbox to run a tool.'
    default:
      return 'The sandbox takes no tools now.'
  }
}
