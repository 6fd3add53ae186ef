import { mean } from '../bench/stats.ts'
import { inWords, LEAST_SAMPLES, slopeOf, trendOf, type Slope } from '../soak/slope.ts'
import type { Series } from './report.ts'
import { count, line, text, x1, type Picture } from './svg.ts'

/** Points along the width: each is the range and the mean of the dispatches that fall on it. */
const POINTS = 160

export type SlopeOfSeries = { mean: number; slope: Slope | null; said: string }

/** A series' slope in words; too short a one has none, nor has one that shows something else. */
export function slopeOfSeries({ values, said: other }: Series): SlopeOfSeries {
  if (other !== undefined) return { mean: mean(values), slope: null, said: other }
  if (values.length < LEAST_SAMPLES)
    return { mean: mean(values), slope: null, said: `${values.length} dispatches, too few for a slope` }
  const slope = slopeOf(values)
  return { mean: slope.mean, slope, said: `${inWords(slope)}: ${trendOf(slope)}` }
}

export function figure(value: number, unit: string): string {
  const whole = Math.abs(value) >= 100 || Number.isInteger(value)
  const digits = (whole ? count(Math.round(value)) : value.toFixed(1)).replace('-', '−')
  return unit === '' ? digits : `${digits} ${unit}`
}

/** For the ends of the axis, on the right. */
const MARGIN = 52

/** A figure over dispatches in a row, with the straight line through it and the 95 % interval of its slope. */
export function seriesPlot(series: Series, width: number): Picture {
  const { title, unit, values } = series
  const height = 150
  const [top, bottom] = [44, height - 18]
  const { slope, said, mean: middle } = slopeOfSeries(series)
  const label = `${title}: ${said}`
  const heading = [text(0, 14, 'name', title), text(0, 31, 'quiet number', said)]
  if (values.length < 2) return { width, height, label, body: heading }
  // What never changes is drawn as level, not as noise of its last digit.
  const room = Math.max(Math.abs(middle) * 0.02, values.every(Number.isInteger) ? 1 : Number.EPSILON)
  const low = Math.min(...values, middle - room)
  const high = Math.max(...values, middle + room)
  const y = (value: number) => bottom - ((value - low) / (high - low)) * (bottom - top)
  const right = width - MARGIN
  const x = (i: number) => (i / (values.length - 1)) * right
  const points = bucketsOf(values)
  const path = (of: (point: Point) => number, list = points) =>
    list.map((point) => `${x1(x(point.at))} ${x1(y(of(point)))}`).join('L')
  const range = `M${path(({ max }) => max)}L${path(({ min }) => min, points.toReversed())}Z`
  const end = values.length - 1
  const fitted = (share: number, i: number) => y(middle + ((share * Math.abs(middle)) / 1000) * (i - end / 2))
  const fan = (slope: Slope) => {
    const corner = (sign: number, i: number) =>
      `${x1(x(i))} ${x1(fitted(slope.perThousand + sign * slope.margin, i))}`
    return `M${corner(-1, 0)}L${corner(1, 0)}L${corner(1, end)}L${corner(-1, end)}Z`
  }
  const body = [
    ...heading,
    text(width, 31, 'quiet number', `mean ${figure(middle, unit)}`, 'end'),
    line(0, top, right, top, 'grid'),
    line(0, bottom, right, bottom, 'axis'),
    `<path class="range" d="${range}"/>`,
    `<path class="mean" d="M${path(({ mean }) => mean)}"/>`,
    ...(slope === null
      ? []
      : [
          // An interval wider than the figure's own range is cut off at it.
          `<svg x="0" y="${top}" width="${right}" height="${bottom - top}" viewBox="0 ${top} ${right} ${bottom - top}">`,
          `<path class="interval" d="${fan(slope)}"/>`,
          line(0, fitted(slope.perThousand, 0), right, fitted(slope.perThousand, end), 'fit'),
          '</svg>',
        ]),
    text(right + 5, top + 4, 'quiet number', figure(high, '')),
    text(right + 5, bottom + 4, 'quiet number', figure(low, '')),
    text(0, height - 4, 'quiet', 'first'),
    text(right, height - 4, 'quiet', `${count(values.length)}th`, 'end'),
  ]
  return { width, height, label, body }
}

type Point = { at: number; min: number; max: number; mean: number }

function bucketsOf(values: readonly number[]): Point[] {
  const size = Math.max(1, Math.ceil(values.length / POINTS))
  return Array.from({ length: Math.ceil(values.length / size) }, (_, i) => {
    const part = values.slice(i * size, (i + 1) * size)
    const last = i * size + part.length - 1
    return { at: i === 0 ? 0 : last, min: Math.min(...part), max: Math.max(...part), mean: mean(part) }
  })
}
