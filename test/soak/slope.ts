/** A straight line through a figure of dispatches in a row, as of their count. */
export type Slope = {
  mean: number
  /** What the figure grows by in 1000 dispatches, as a share of its mean: 0.01 is one per cent. */
  perThousand: number
  /** Half the width of that share's 95 % interval. */
  margin: number
}

/** Shorter series have a wide interval, and what it says would not be the normal distribution's. */
export const LEAST_SAMPLES = 100

/** The normal distribution's 97.5 % quantile: 2.5 % lie beyond it on either side. */
const Z95 = 1.96

/**
 * Least squares over samples that are one dispatch apart. What one sample has of the one before it is in the interval:
 * of samples that follow each other (a heap that fills and is emptied) fewer than their count are independent.
 */
export function slopeOf(samples: readonly number[]): Slope {
  const n = samples.length
  if (n < LEAST_SAMPLES) throw new RangeError(`a slope needs ${LEAST_SAMPLES} samples, and there are ${n}`)
  const mean = samples.reduce((sum, value) => sum + value, 0) / n
  const middle = (n - 1) / 2
  let sxx = 0
  let sxy = 0
  samples.forEach((value, i) => {
    sxx += (i - middle) ** 2
    sxy += (i - middle) * (value - mean)
  })
  const slope = sxy / sxx
  const residuals = samples.map((value, i) => value - mean - slope * (i - middle))
  const variance = sumOfSquares(residuals) / (n - 2)
  const error = Math.sqrt((variance / sxx) * following(residuals))
  const share = (value: number): number => (mean === 0 ? 0 : (value * 1000) / Math.abs(mean))
  return { mean, perThousand: share(slope), margin: share(Z95 * error) }
}

const sumOfSquares = (values: readonly number[]): number => values.reduce((sum, value) => sum + value ** 2, 0)

/** How many samples, each of which is like the one before it, say what an independent one would. */
function following(residuals: readonly number[]): number {
  const squares = sumOfSquares(residuals)
  const lagged = residuals.slice(1).reduce((sum, value, i) => sum + value * (residuals[i] ?? 0), 0)
  const correlation = squares === 0 ? 0 : Math.min(0.99, Math.max(0, lagged / squares))
  return (1 + correlation) / (1 - correlation)
}

/** A time as it is after many dispatches and as it is after few, taken one beside the other. */
export type Pair = { worn: number; fresh: number }

/**
 * What a time grows by over the `apart` dispatches that lie between the halves of each pair. What the machine does
 * meanwhile is in both halves; a straight line through an hour of dispatches has the machine's own changes in it.
 */
export function slopeOfPairs(pairs: readonly Pair[], apart: number): Slope {
  const n = pairs.length
  if (n < LEAST_SAMPLES) throw new RangeError(`a slope needs ${LEAST_SAMPLES} pairs, and there are ${n}`)
  const mean = pairs.reduce((sum, { worn, fresh }) => sum + (worn + fresh) / 2, 0) / n
  const grown = pairs.reduce((sum, { worn, fresh }) => sum + worn - fresh, 0) / n
  const residuals = pairs.map(({ worn, fresh }) => worn - fresh - grown)
  const error = Math.sqrt((sumOfSquares(residuals) / (n - 1) / n) * following(residuals))
  const share = (value: number): number => (value * 1000) / (apart * mean)
  return { mean, perThousand: share(grown), margin: share(Z95 * error) }
}

/** A figure does not grow when the upper end of the interval is below one per cent of the mean in 1000 dispatches. */
const MOST_GROWTH = 0.01

/**
 * `falls`: it surely falls by more than what is allowed to grow, so it does not wear, but something else ended meanwhile.
 * `undecided`: neither level nor surely growing; more dispatches narrow the interval.
 */
export type Trend = 'level' | 'falls' | 'grows' | 'undecided'

function percent(share: number): string {
  const digits = Math.abs(share * 100).toFixed(Math.abs(share) < 0.1 ? 2 : 1)
  return `${share < 0 && Number(digits) !== 0 ? '−' : ''}${digits} %`
}

/** As people read it. */
export const inWords = ({ perThousand, margin }: Slope): string =>
  `${percent(perThousand)} ± ${percent(margin)} in 1000`

export function trendOf({ perThousand, margin }: Slope): Trend {
  const most = perThousand + margin
  if (most < MOST_GROWTH) return most < -MOST_GROWTH ? 'falls' : 'level'
  return perThousand > margin ? 'grows' : 'undecided'
}
