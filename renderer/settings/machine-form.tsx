import { useId, useState, type FormEvent } from 'react'
import { visibleLine } from '../format/hostile.ts'
import { count, shortDigest } from '../format/numbers.ts'
import { ErrorNote } from '../parts/error-note.tsx'
import { Mark } from '../parts/mark.tsx'
import { Panel } from '../parts/panel.tsx'
import type { SettingsPatch, SettingsView, WireError } from '../protocol.ts'
import { startVm, stopVm, useStore } from '../store/index.ts'
import { NumberSetting } from './number-setting.tsx'

/** What the VM is made of. It counts from the VM's next start. */
export function MachineForm(props: {
  view: SettingsView
  save: (set: SettingsPatch) => Promise<boolean>
  error: WireError | null
}) {
  const { settings, defaults, host, images, restart_needed } = props.view
  const [edited, setEdited] = useState<{ cpus?: number | null; memory_mib?: number | null; image?: string }>(
    {},
  )
  const offline = useStore((state) => state.connection.kind !== 'open')
  const imageId = useId()
  const now = { cpus: settings.cpus, memory_mib: settings.memory_mib, image: settings.image, ...edited }
  const set: SettingsPatch = {
    ...(now.cpus !== settings.cpus && now.cpus !== null ? { cpus: now.cpus } : {}),
    ...(now.memory_mib !== settings.memory_mib && now.memory_mib !== null
      ? { memory_mib: now.memory_mib }
      : {}),
    ...(now.image === settings.image ? {} : { image: now.image }),
  }
  const changed = Object.keys(set).length > 0
  const listed = images.some(({ recipe }) => recipe === now.image)
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    if (changed && (await props.save(set))) setEdited({})
  }
  return (
    <Panel title="Virtual machine">
      <form className="settings-form" onSubmit={(event) => void submit(event)} noValidate>
        <div className="settings-pair">
          <NumberSetting
            label="CPUs"
            unit={`of ${count(host.cpus)}`}
            value={now.cpus}
            min={1}
            max={Math.min(64, Math.max(host.cpus, settings.cpus))}
            step={1}
            help={`${count(defaults.cpus)} unless set.`}
            onChange={(cpus) => setEdited({ ...edited, cpus })}
          />
          <NumberSetting
            label="Memory"
            unit="MiB"
            value={now.memory_mib}
            min={128}
            max={Math.min(65_536, Math.max(host.memory_mib, settings.memory_mib))}
            step={128}
            help={`${count(defaults.memory_mib)} MiB unless set. A standby takes as much again.`}
            onChange={(memory_mib) => setEdited({ ...edited, memory_mib })}
          />
        </div>
        <div className="field">
          <label htmlFor={imageId}>Image</label>
          <select
            id={imageId}
            className="input"
            value={now.image}
            aria-describedby={`${imageId}-help`}
            onChange={(event) => setEdited({ ...edited, image: event.target.value })}
          >
            {!listed && <option value={now.image}>{visibleLine(now.image)}: not built</option>}
            {images.map((image) => (
              <option key={image.recipe} value={image.recipe}>
                {visibleLine(image.recipe)} {visibleLine(image.image_version)} ·{' '}
                {shortDigest(image.image_digest)}
              </option>
            ))}
          </select>
          <p id={`${imageId}-help`} className="help">
            Others are built with <code>npm run guest -- --recipe NAME</code>.
          </p>
        </div>
        {props.error !== null && <ErrorNote error={props.error} />}
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
      {restart_needed && !changed && <RestartNote />}
    </Panel>
  )
}

function RestartNote() {
  const state = useStore((store) => store.snapshot?.state)
  const busy = useStore((store) => store.pending.has('start') || store.pending.has('stop'))
  if (state === 'stopped' || state === undefined) return null
  const restart = async () => {
    if (await stopVm()) await startVm()
  }
  return (
    <div className="note warn" role="status">
      <Mark shape="loop" tone="warn" />
      <div className="note-body">
        <p className="note-title">The running VM has other settings.</p>
        <p>These count from its next start. What runs now would be cancelled.</p>
      </div>
      <button
        type="button"
        className="button small"
        aria-disabled={busy}
        onClick={() => !busy && void restart()}
      >
        {busy ? 'Restarting…' : 'Restart VM'}
      </button>
    </div>
  )
}
