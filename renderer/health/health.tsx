import type { ReactNode } from 'react'
import { visible, visibleLine } from '../format/hostile.ts'
import { bytes, count, milliseconds, span } from '../format/numbers.ts'
import { Digest } from '../parts/digest.tsx'
import { machineWords } from '../parts/machine-tag.tsx'
import { Mark, type Shape, type Tone } from '../parts/mark.tsx'
import { Empty, Panel } from '../parts/panel.tsx'
import { RelativeTime } from '../parts/relative-time.tsx'
import type { HelperStatus, StandbyStatus } from '../protocol.ts'
import { PATH_WORDS } from '../resets/phases.ts'
import { useNow, useStore } from '../store/index.ts'
import { Memory } from './memory.tsx'

export function Health() {
  const helper = useStore((state) => state.snapshot?.helper ?? null)
  const starting = useStore((state) => state.snapshot?.state === 'starting')
  return (
    <Panel title="Health">
      {helper === null ? (
        <Empty title={starting ? 'The VM is coming up' : 'No VM'}>
          {starting
            ? 'Its facts stand here as soon as the helper knows them.'
            : 'Start the sandbox, and what it runs on stands here.'}
        </Empty>
      ) : (
        <>
          <Memory helper={helper} />
          <Facts helper={helper} />
        </>
      )}
      <Restarts />
    </Panel>
  )
}

function Facts({ helper }: { helper: HelperStatus }) {
  const { guest, image, golden } = helper
  return (
    <dl className="facts">
      <Fact term="Runs on">{machineWords(helper.backend, helper.accelerator)}</Fact>
      <Fact term="Hypervisor says">{helper.vmm_api_state}</Fact>
      <Fact term="Came up by">
        {helper.boot_path === null ? 'not yet' : PATH_WORDS[helper.boot_path].toLowerCase()}
        {helper.boot_ms !== null && <span className="num"> in {milliseconds(helper.boot_ms)}</span>}
      </Fact>
      <Fact term="Up for">{helper.booted_at === null ? '—' : <Uptime since={helper.booted_at} />}</Fact>
      <Fact term="Standby">
        <Standby standby={helper.standby} />
      </Fact>
      <Fact term="Epoch">{helper.epoch === null ? '—' : count(helper.epoch)}</Fact>
      <Fact term="vCPUs · load">
        {helper.cpus}
        {guest !== null && ` · ${guest.load.toFixed(2)}`}
      </Fact>
      <Fact term="Processes">{guest === null ? '—' : count(guest.processes)}</Fact>
      <Fact term="Clock drift">
        {guest === null || guest.clock_step_ms === null ? '—' : driftWords(guest.clock_step_ms)}
      </Fact>
      <Fact term="Written since reset">{guest === null ? '—' : bytes(guest.overlay_bytes)}</Fact>
      <Fact term="Image" wide>
        {image === null ? (
          'has no manifest'
        ) : (
          <>
            {visibleLine(image.recipe)} {visibleLine(image.image_version)}{' '}
            <Digest value={image.image_digest} of="image digest" />
          </>
        )}
      </Fact>
      {golden !== null && (
        <Fact term="Golden snapshot" wide>
          {bytes(golden.bytes)}, <RelativeTime stamp={golden.created_at} />{' '}
          <Digest value={golden.golden_hash} of="golden hash" />
        </Fact>
      )}
    </dl>
  )
}

/** The guest's clock against the host's, before the last resume set it right. */
const driftWords = (step: number): string =>
  Math.abs(step) < 0.1
    ? 'none at the last resume'
    : `${milliseconds(Math.abs(step))} ${step > 0 ? 'behind' : 'ahead'}, set right`

function Fact({ term, wide = false, children }: { term: string; wide?: boolean; children: ReactNode }) {
  return (
    <div className={wide ? 'fact wide' : 'fact'}>
      <dt>{term}</dt>
      <dd>{children}</dd>
    </div>
  )
}

function Uptime({ since }: { since: string }) {
  const now = useNow()
  return <span className="num">{span(Math.floor((now - Date.parse(since)) / 10_000) * 10_000)}</span>
}

const STANDBY: Record<StandbyStatus['state'], { word: string; shape: Shape; tone: Tone }> = {
  none: { word: 'none', shape: 'ring', tone: 'idle' },
  preparing: { word: 'preparing', shape: 'arc', tone: 'busy' },
  ready: { word: 'ready', shape: 'check', tone: 'ok' },
  failed: { word: 'failed', shape: 'alert', tone: 'warn' },
}

function Standby({ standby }: { standby: StandbyStatus }) {
  const look = STANDBY[standby.state]
  return (
    <>
      <span className="inline-mark">
        <Mark shape={look.shape} tone={look.tone} size={13} />
        {look.word}
      </span>
      {standby.prepare_ms !== null && <span className="num">, took {milliseconds(standby.prepare_ms)}</span>}
      {standby.message !== undefined && <span className="fact-note">{visible(standby.message)}</span>}
    </>
  )
}

function Restarts() {
  const restarts = useStore((state) => state.snapshot?.helper_restarts ?? 0)
  const reason = useStore((state) => state.snapshot?.last_crash ?? null)
  if (restarts === 0 && reason === null) return null
  return (
    <div className="note warn">
      <Mark shape="alert" tone="warn" />
      <div className="note-body">
        <p className="note-title">
          The helper was restarted {restarts === 1 ? 'once' : `${restarts} times`} since the app started.
        </p>
        {reason !== null && <p>{visible(reason)}</p>}
      </div>
    </div>
  )
}
