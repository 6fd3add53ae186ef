import { useEffect } from 'react'
import { appWindow } from '../bridge/index.ts'
import { ErrorNote } from '../parts/error-note.tsx'
import { Panel } from '../parts/panel.tsx'
import { Waiting } from '../parts/waiting.tsx'
import type { SettingsPatch } from '../protocol.ts'
import { useAnswer, useStore } from '../store/index.ts'
import { About } from './about.tsx'
import { Agents } from './agents.tsx'
import { LoginItemSetting } from './login-item.tsx'
import { MachineForm } from './machine-form.tsx'
import { TargetsForm } from './targets-form.tsx'

export function SettingsPage() {
  const connected = useStore((state) => state.connection.kind === 'open')
  const [asked, put] = useAnswer<{ action: 'settings'; set?: SettingsPatch }>()
  useEffect(() => {
    if (connected) void put({ action: 'settings' })
  }, [connected, put])
  const view = asked.value
  const shell = appWindow()
  const save = async (set: SettingsPatch) => (await put({ action: 'settings', set })) !== null
  return (
    <div className="pages">
      {view === null ? (
        <Panel title="Virtual machine">
          {asked.kind === 'failed' ? (
            <>
              <ErrorNote error={asked.error} />
              <p>
                <button type="button" className="button" onClick={() => void put({ action: 'settings' })}>
                  Try again
                </button>
              </p>
            </>
          ) : (
            <Waiting>Reading the settings.</Waiting>
          )}
        </Panel>
      ) : (
        <>
          <MachineForm view={view} save={save} error={asked.kind === 'failed' ? asked.error : null} />
          <TargetsForm view={view} save={save} />
        </>
      )}
      <Agents />
      {shell !== null && <LoginItemSetting shell={shell} />}
      <About />
    </div>
  )
}
