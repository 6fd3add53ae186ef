import { visible, visibleLine } from '../format/hostile.ts'
import type { Field } from './schema-form.ts'

type Props = {
  field: Field
  value: string | boolean
  error: string | undefined
  onChange: (value: string | boolean) => void
}

/** One parameter: label, control, what it is for, what is wrong with it. */
export function FieldView({ field, value, error, onChange }: Props) {
  const id = `run-${field.name}`
  const label = (
    <>
      {visibleLine(field.label)}
      {!field.required && field.kind !== 'switch' && <span className="optional">optional</span>}
    </>
  )
  return (
    <div className="field">
      {field.kind === 'switch' ? (
        <label className="switch" htmlFor={id}>
          <input
            id={id}
            type="checkbox"
            checked={value === true}
            aria-describedby={`${id}-help`}
            onChange={(event) => onChange(event.target.checked)}
          />
          {label}
        </label>
      ) : (
        <>
          <label htmlFor={id}>{label}</label>
          <Control
            id={id}
            field={field}
            value={String(value)}
            invalid={error !== undefined}
            onChange={onChange}
          />
        </>
      )}
      <p id={`${id}-help`} className={error === undefined ? 'help' : 'field-error'} aria-live="polite">
        {error ?? (field.help === null ? null : visible(field.help))}
      </p>
    </div>
  )
}

function Control(props: {
  id: string
  field: Field
  value: string
  invalid: boolean
  onChange: (value: string) => void
}) {
  const common = {
    id: props.id,
    value: props.value,
    'aria-invalid': props.invalid,
    'aria-required': props.field.required,
    'aria-describedby': `${props.id}-help`,
    onChange: (event: { target: { value: string } }) => props.onChange(event.target.value),
  }
  switch (props.field.kind) {
    case 'multiline':
    case 'json':
      return (
        <textarea
          {...common}
          className="input mono"
          rows={Math.min(8, Math.max(2, props.value.split('\n').length))}
          spellCheck={false}
        />
      )
    case 'choice':
      return (
        <select {...common} className="input">
          {!props.field.required && <option value="">not set</option>}
          {props.field.options.map((option) => (
            <option key={option} value={option}>
              {visibleLine(option)}
            </option>
          ))}
        </select>
      )
    case 'number':
      return <input {...common} className="input num" inputMode="decimal" autoComplete="off" />
    case 'text':
    case 'switch':
      return <input {...common} className="input mono" autoComplete="off" spellCheck={false} />
  }
}
