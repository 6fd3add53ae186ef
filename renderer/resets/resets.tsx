import { Suspense, lazy, useState } from 'react'
import { axis, milliseconds } from '../format/numbers.ts'
import { summarize } from '../format/percentiles.ts'
import { MachineTag } from '../parts/machine-tag.tsx'
import { Mark } from '../parts/mark.tsx'
import { Empty, Panel } from '../parts/panel.tsx'
import type { BootPath, ResetReport } from '../protocol.ts'
import { useStore } from '../store/index.ts'
import { ChosenReset } from './chosen-reset.tsx'
import { PATH_WORDS, SLOTS, scaleFor } from './phases.ts'

/** Not in the popover's first view, and it brings a library along. */
const Chart = lazy(async () => ({ default: (await import('./chart.tsx')).Chart }))

const NONE: readonly ResetReport[] = []

export function Resets() {
  const newestFirst = useStore((state) => state.snapshot?.resets ?? NONE)
  /** Named by its time, so that it stays the same one while newer ones come in; null follows the newest. */
  const [pinned, setPinned] = useState<string | null>(null)
  const targets = useStore((state) => state.snapshot?.reset_target_ms)
  const resets = newestFirst.slice(0, SLOTS).toReversed()
  const found = resets.findIndex((report) => report.reset_at === pinned)
  const chosen = found === -1 ? resets.length - 1 : found
  const report = resets[chosen]
  return (
    <Panel title="Resets" aside={report !== undefined && <MachineTag />}>
      {report === undefined || targets === undefined ? (
        <Empty title="No resets yet">
          The VM is replaced after every dispatch; each time is measured and kept here.
        </Empty>
      ) : (
        <>
          <Figures resets={resets} path={report.reset_path} target={targets[report.reset_path]} />
          <Suspense fallback={<div className="chart-place" />}>
            <Chart
              resets={resets}
              scale={scaleFor(timesOf(resets), targets[report.reset_path])}
              targetMs={targets[report.reset_path]}
              chosen={chosen}
              choose={(index) =>
                setPinned(index === resets.length - 1 ? null : (resets[index]?.reset_at ?? null))
              }
            />
          </Suspense>
          <ChosenReset report={report} />
        </>
      )}
    </Panel>
  )
}

const timesOf = (resets: readonly ResetReport[]) => resets.map((report) => report.total_ms)

/** Medians and tails of the resets that went the chosen way: fast and cold ones are never mixed. */
function Figures(props: { resets: readonly ResetReport[]; path: BootPath; target: number }) {
  const { resets, path, target } = props
  const same = resets.filter((report) => report.reset_path === path)
  const summary = summarize(timesOf(same))
  if (summary === null) return null
  const met = summary.p50 < target
  const others = resets.length - same.length
  return (
    <>
      <dl className="figures">
        <div className="figure big">
          <dt>Median</dt>
          <dd>{milliseconds(summary.p50)}</dd>
        </div>
        <div className="figure">
          <dt>p95</dt>
          <dd>{milliseconds(summary.p95)}</dd>
        </div>
        <div className="figure">
          <dt>Slowest</dt>
          <dd>{milliseconds(summary.max)}</dd>
        </div>
      </dl>
      <p className="figures-note">
        <Mark shape={met ? 'check' : 'alert'} tone={met ? 'ok' : 'warn'} size={13} />
        <span>
          {met ? 'Under' : 'Over'} the target of {axis(target)}. {PATH_WORDS[path]}, {summary.n}{' '}
          {summary.n === 1 ? 'reset' : 'resets'}
          {others > 0 && `, ${others} by ${path === 'cold_boot' ? 'fast snapshot' : 'cold boot'} not counted`}
          .
        </span>
      </p>
    </>
  )
}
