import type { KeyboardEvent, MouseEvent } from 'react'
import { axis, clockTime, milliseconds } from '../format/numbers.ts'
import type { ResetReport } from '../protocol.ts'
import { PATH_WORDS, floors, stackPhases, type Part, type Scale } from './phases.ts'

export const SLOTS = 50
const SLOT = 10
const BAR = 7
const HEIGHT = 100

type Props = {
  /** Oldest first. */
  resets: readonly ResetReport[]
  scale: Scale
  targetMs: number
  chosen: number
  choose: (index: number) => void
}

/**
 * The last resets as columns of phases, newest at the right. Below the line, hollow and on a scale of
 * its own: what had been done ahead, which nobody waited for.
 */
export function Chart({ resets, scale, targetMs, chosen, choose }: Props) {
  const stacks = resets.map(stackPhases)
  const aheadTop = Math.max(1, ...stacks.map((stack) => stack.aheadMs))
  const first = SLOTS - resets.length
  const report = resets[chosen]
  const onKeyDown = (event: KeyboardEvent) => {
    const to = { ArrowLeft: chosen - 1, ArrowRight: chosen + 1, Home: 0, End: resets.length - 1 }[event.key]
    if (to === undefined || to < 0 || to >= resets.length) return
    event.preventDefault()
    choose(to)
  }
  const onClick = (event: MouseEvent<HTMLElement>) => {
    const box = event.currentTarget.getBoundingClientRect()
    const slot = Math.floor(((event.clientX - box.left) / box.width) * SLOTS)
    choose(Math.min(resets.length - 1, Math.max(0, slot - first)))
  }
  return (
    <div
      className="chart"
      role="slider"
      tabIndex={0}
      aria-label="Reset to look at"
      aria-valuemin={1}
      aria-valuemax={resets.length}
      aria-valuenow={chosen + 1}
      aria-valuetext={report === undefined ? '' : chosenWords(report)}
      onKeyDown={onKeyDown}
      onClick={onClick}
    >
      <p className="chart-note">
        <span className="num">{axis(scale.top)}</span>
        {scale.target === null && <span>target {axis(targetMs)}, above this scale ↑</span>}
      </p>
      <div className="chart-waited">
        {scale.target !== null && (
          <span className="chart-target" style={{ bottom: `${(scale.target / scale.top) * 100}%` }}>
            target {axis(scale.target)}
          </span>
        )}
        <svg viewBox={`0 0 ${SLOTS * SLOT} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
          <rect className="chosen" x={(first + chosen) * SLOT} y="0" width={SLOT} height={HEIGHT} />
          {stacks.map((stack, i) => (
            <Column
              key={resets[i]?.reset_at ?? i}
              x={(first + i) * SLOT + (SLOT - BAR) / 2}
              parts={stack.waited}
              top={scale.top}
              clipped={stack.waitedMs > scale.top}
              failed={resets[i]?.verification_passed === false}
            />
          ))}
        </svg>
      </div>
      {stacks.some((stack) => stack.aheadMs > 0) && (
        <div className="chart-ahead">
          <p className="chart-note">done ahead, not waited for · up to {milliseconds(aheadTop)}</p>
          <svg viewBox={`0 0 ${SLOTS * SLOT} 30`} preserveAspectRatio="none" aria-hidden="true">
            <rect className="chosen" x={(first + chosen) * SLOT} y="0" width={SLOT} height="30" />
            {stacks.map((stack, i) =>
              stack.aheadMs === 0 ? null : (
                <rect
                  key={resets[i]?.reset_at ?? i}
                  className="ahead"
                  x={(first + i) * SLOT + (SLOT - BAR) / 2}
                  y="1"
                  width={BAR}
                  height={Math.max(1, (stack.aheadMs / aheadTop) * 28)}
                />
              ),
            )}
          </svg>
        </div>
      )}
    </div>
  )
}

const chosenWords = (report: ResetReport) =>
  `${clockTime(report.reset_at)}, ${PATH_WORDS[report.reset_path]}, ${milliseconds(report.total_ms)}, ${
    report.verification_passed ? 'verified' : 'not verified'
  }`

function Column(props: {
  x: number
  parts: readonly Part[]
  top: number
  clipped: boolean
  failed: boolean
}) {
  return (
    <g>
      {floors(props.parts).map(({ name, from, to }) => {
        const low = Math.min(HEIGHT, (from / props.top) * HEIGHT)
        const high = Math.min(HEIGHT, (to / props.top) * HEIGHT)
        return (
          <rect
            key={name}
            className={`phase-${name}`}
            x={props.x}
            y={HEIGHT - high}
            width={BAR}
            height={high - low}
          />
        )
      })}
      {props.clipped && <path className="break" d={`M${props.x - 1} 9l${BAR + 2} -4`} />}
      {props.failed && <rect className="failed" x={props.x - 1} y="0" width={BAR + 2} height={HEIGHT} />}
    </g>
  )
}
