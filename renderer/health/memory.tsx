import { bytes } from '../format/numbers.ts'
import type { HelperStatus } from '../protocol.ts'

/** What the guest uses and what that costs the host, on one scale: they are not the same number. */
export function Memory({ helper }: { helper: HelperStatus }) {
  const limit = helper.memory_mib * 1024 * 1024
  const scale = Math.max(limit, helper.host_rss_bytes ?? 0)
  return (
    <div className="memory">
      <Meter label="Guest uses" value={helper.guest?.bytes_used ?? null} scale={scale} kind="guest" />
      <Meter label="Host pays" value={helper.host_rss_bytes} scale={scale} kind="host" />
      <p className="memory-scale">
        <span>0</span>
        <span>{bytes(limit)} given to the VM</span>
      </p>
    </div>
  )
}

function Meter(props: { label: string; value: number | null; scale: number; kind: 'guest' | 'host' }) {
  const share = props.value === null ? 0 : Math.min(1, props.value / props.scale)
  return (
    <div className="meter">
      <span className="meter-label">{props.label}</span>
      <span className="meter-track" aria-hidden="true">
        <span className={`meter-fill ${props.kind}`} style={{ width: `${share * 100}%` }} />
      </span>
      <span className="meter-value num">{bytes(props.value)}</span>
    </div>
  )
}
