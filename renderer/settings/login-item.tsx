import { useEffect, useState } from 'react'
import { Switch } from '@base-ui/react/switch'
import { visible } from '../format/hostile.ts'
import { Panel } from '../parts/panel.tsx'
import { Waiting } from '../parts/waiting.tsx'
import type { LoginItem, WindowBridge } from '../protocol.ts'

/** Whether the app starts at login: the shell's business, so it stands only in the app's own window. */
export function LoginItemSetting({ shell }: { shell: WindowBridge }) {
  const [item, setItem] = useState<LoginItem | null>(null)
  const [failed, setFailed] = useState<string | null>(null)
  const take = (asked: Promise<LoginItem>) =>
    asked.then(
      (answer) => {
        setItem(answer)
        setFailed(null)
      },
      (thrown: unknown) => setFailed(thrown instanceof Error ? thrown.message : String(thrown)),
    )
  useEffect(() => void take(shell.loginItem()), [shell])
  const on = item?.status === 'enabled' || item?.status === 'requires_approval'
  return (
    <Panel title="At login">
      {item === null ? (
        failed === null && <Waiting>Asking the system.</Waiting>
      ) : (
        <>
          <label className="switch-line">
            <Switch.Root
              className="switch-root"
              checked={on}
              disabled={item.status === 'unavailable'}
              onCheckedChange={(enabled) => void take(shell.setLoginItem(enabled))}
            >
              <Switch.Thumb className="switch-thumb" />
            </Switch.Root>
            Start when I log in
          </label>
          <p className="help">{visible(item.message)}</p>
          {item.status === 'requires_approval' && (
            <p>
              <button type="button" className="button" onClick={() => shell.openLoginItems()}>
                Open Login Items
              </button>
            </p>
          )}
        </>
      )}
      {failed !== null && <p className="field-error">{visible(failed)}</p>}
    </Panel>
  )
}
