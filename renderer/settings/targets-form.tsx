import { useState, type FormEvent } from 'react'
import { axis } from '../format/numbers.ts'
import { Panel } from '../parts/panel.tsx'
import type { SettingsPatch, SettingsView } from '../protocol.ts'
import { useStore } from '../store/index.ts'
import { NumberSetting } from './number-setting.tsx'

type Name = 'reset_target_fast_ms' | 'reset_target_cold_ms'
const TARGETS: readonly { name: Name; label: string; step: number }[] = [
  { name: 'reset_target_fast_ms', label: 'Fast snapshot', step: 50 },
  { name: 'reset_target_cold_ms', label: 'Cold boot', step: 500 },
]

/** The line that resets are drawn against; it changes nothing else. */
export function TargetsForm(props: { view: SettingsView; save: (set: SettingsPatch) => Promise<boolean> }) {
  const { settings, defaults } = props.view
  const [edited, setEdited] = useState<Partial<Record<Name, number | null>>>({})
  const offline = useStore((state) => state.connection.kind !== 'open')
  const set = Object.fromEntries(
    TARGETS.flatMap(({ name }) => {
      const value = edited[name]
      return value === undefined || value === null || value === settings[name] ? [] : [[name, value]]
    }),
  ) as SettingsPatch
  const changed = Object.keys(set).length > 0
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    if (changed && (await props.save(set))) setEdited({})
  }
  return (
    <Panel title="Reset targets">
      <form className="settings-form" onSubmit={(event) => void submit(event)} noValidate>
        <p className="quiet-text">
          Under Resets, the median is held against these lines. They change nothing else.
        </p>
        <div className="settings-pair">
          {TARGETS.map(({ name, label, step }) => (
            <NumberSetting
              key={name}
              label={label}
              unit="ms"
              value={edited[name] === undefined ? settings[name] : edited[name]}
              min={10}
              max={600_000}
              step={step}
              help={`${axis(defaults[name])} unless set.`}
              onChange={(value) => setEdited({ ...edited, [name]: value })}
            />
          ))}
        </div>
        <div className="form-end">
          <button type="submit" className="button primary" disabled={offline || !changed}>
            Save
          </button>
          {changed && (
            <button type="button" className="button" onClick={() => setEdited({})}>
              Revert
            </button>
          )}
        </div>
      </form>
    </Panel>
  )
}
