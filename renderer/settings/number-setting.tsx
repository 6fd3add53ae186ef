import { useId } from 'react'
import { NumberField } from '@base-ui/react/number-field'

/** A number with its unit, steps and bounds; `null` while nothing sensible is typed. */
export function NumberSetting(props: {
  label: string
  unit: string
  value: number | null
  min: number
  max: number
  step: number
  help: string
  onChange: (value: number | null) => void
}) {
  const id = useId()
  return (
    <div className="field">
      <label htmlFor={id}>{props.label}</label>
      <div className="setting-line">
        <NumberField.Root
          id={id}
          value={props.value}
          min={props.min}
          max={props.max}
          step={props.step}
          smallStep={1}
          onValueChange={(value) => props.onChange(value)}
        >
          <NumberField.Group className="stepper">
            <NumberField.Decrement className="step" aria-label={`Less: ${props.label}`}>
              −
            </NumberField.Decrement>
            <NumberField.Input className="input num" aria-describedby={`${id}-help`} />
            <NumberField.Increment className="step" aria-label={`More: ${props.label}`}>
              +
            </NumberField.Increment>
          </NumberField.Group>
        </NumberField.Root>
        <span className="unit">{props.unit}</span>
      </div>
      <p id={`${id}-help`} className="help">
        {props.help}
      </p>
    </div>
  )
}
