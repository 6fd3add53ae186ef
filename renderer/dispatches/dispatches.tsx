import { MachineTag } from '../parts/machine-tag.tsx'
import { Empty, Panel } from '../parts/panel.tsx'
import type { DispatchRecord } from '../protocol.ts'
import { useStore } from '../store/index.ts'
import { DispatchItem } from './dispatch-item.tsx'

const NONE: readonly DispatchRecord[] = []

export function Dispatches() {
  const dispatches = useStore((state) => state.snapshot?.dispatches ?? NONE)
  return (
    <Panel title="Dispatches" aside={dispatches.length > 0 && <MachineTag />}>
      {dispatches.length === 0 ? (
        <Empty title="Nothing has run yet">
          What an agent or you run appears here: who asked, what it wrote, and the hash that binds it.
        </Empty>
      ) : (
        <ul className="dispatches">
          {dispatches.map((record) => (
            <DispatchItem key={record.command_id} record={record} />
          ))}
        </ul>
      )}
    </Panel>
  )
}
