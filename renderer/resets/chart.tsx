import type { KeyboardEvent, MouseEvent } from 'react'
import { scaleBand, scaleLinear } from '@visx/scale'
import { Bar, BarStack } from '@visx/shape'
import { axis, clockTime, milliseconds } from '../format/numbers.ts'
import type { ResetReport } from '../protocol.ts'
import { PATH_WORDS, PHASES, SLOTS, stackPhases, type Part, type Scale, type Stack } from './phases.ts'

const WIDTH = 500
const HEIGHT = 100
const AHEAD_HEIGHT = 30
const KEYS: readonly Part['name'][] = [...PHASES, 'other']

type Props = {
  /** Oldest first. */
  resets: readonly ResetReport[]
  scale: Scale
  targetMs: number
  chosen: number
  choose: (index: number) => void
}
type Column = { slot: number; report: ResetReport; stack: Stack } & Record<Part['name'], number>

/**
 * The last resets as columns of phases, newest at the right. Below the line, hollow and on a scale of
 * its own: what had been done ahead, which nobody waited for. A column on a foot was a cold boot.
 */
export function Chart({ resets, scale, targetMs, chosen, choose }: Props) {
  const first = SLOTS - resets.length
  const columns = resets.map((report, i) => columnOf(report, first + i))
  const aheadTop = Math.max(1, ...columns.map(({ stack }) => stack.aheadMs))
  const report = resets[chosen]
  const x = scaleBand({
    domain: [...Array(SLOTS).keys()],
    range: [0, WIDTH],
    paddingInner: 0.3,
    paddingOuter: 0.15,
  })
  const y = scaleLinear({ domain: [0, scale.top], range: [HEIGHT, 0], clamp: true })
  const deep = scaleLinear({ domain: [0, aheadTop], range: [0, AHEAD_HEIGHT - 2], clamp: true })
  const left = (column: Column): number => x(column.slot) ?? 0
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
  const band = (height: number) => (
    <rect className="chosen" x={(first + chosen) * x.step()} y="0" width={x.step()} height={height} />
  )
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
        <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
          {band(HEIGHT)}
          <BarStack<Column, Part['name']>
            data={columns}
            keys={[...KEYS]}
            x={(column) => column.slot}
            xScale={x}
            yScale={y}
            color={(name) => name}
          >
            {(stacks) =>
              stacks.flatMap((stack) =>
                stack.bars.map((bar) =>
                  bar.height <= 0 ? null : (
                    <rect
                      key={`${stack.key} ${bar.bar.data.slot}`}
                      className={`phase-${stack.key}`}
                      x={bar.x}
                      y={bar.y}
                      width={bar.width}
                      height={bar.height}
                    />
                  ),
                ),
              )
            }
          </BarStack>
          {columns.map((column) => (
            <g key={column.slot}>
              {column.stack.waitedMs > scale.top && (
                <path className="break" d={`M${left(column) - 1} 9l${x.bandwidth() + 2} -4`} />
              )}
              {column.report.reset_path === 'cold_boot' && (
                <rect
                  className="foot"
                  x={left(column) - 1}
                  y={HEIGHT - 3}
                  width={x.bandwidth() + 2}
                  height="3"
                />
              )}
              {!column.report.verification_passed && (
                <rect
                  className="failed"
                  x={left(column) - 1}
                  y="0"
                  width={x.bandwidth() + 2}
                  height={HEIGHT}
                />
              )}
            </g>
          ))}
        </svg>
      </div>
      {columns.some(({ stack }) => stack.aheadMs > 0) && (
        <div className="chart-ahead">
          <p className="chart-note">done ahead, not waited for · up to {milliseconds(aheadTop)}</p>
          <svg viewBox={`0 0 ${WIDTH} ${AHEAD_HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
            {band(AHEAD_HEIGHT)}
            {columns.map((column) =>
              column.stack.aheadMs === 0 ? null : (
                <Bar
                  key={column.slot}
                  className="ahead"
                  x={left(column)}
                  y={1}
                  width={x.bandwidth()}
                  height={Math.max(1, deep(column.stack.aheadMs))}
                />
              ),
            )}
          </svg>
        </div>
      )}
      {resets.some(({ reset_path }) => reset_path === 'cold_boot') && (
        <p className="chart-note chart-key">
          <span>
            <span className="foot-key" aria-hidden="true" /> on a foot: a cold boot
          </span>
        </p>
      )}
    </div>
  )
}

function columnOf(report: ResetReport, slot: number): Column {
  const stack = stackPhases(report)
  const ms = (name: Part['name']): number => stack.waited.find((part) => part.name === name)?.ms ?? 0
  const phases = Object.fromEntries(KEYS.map((name) => [name, ms(name)])) as Record<Part['name'], number>
  return { ...phases, slot, report, stack }
}

const chosenWords = (report: ResetReport) =>
  `${clockTime(report.reset_at)}, ${PATH_WORDS[report.reset_path]}, ${milliseconds(report.total_ms)}, ${
    report.verification_passed ? 'verified' : 'not verified'
  }`
