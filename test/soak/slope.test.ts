import { describe, expect, it } from 'vitest'
import { slopeOf, trendOf } from './slope.ts'

/** Uniform on ±1, the same on every run. */
function noise(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 31 - 1
  }
}
const series = (n: number, of: (i: number) => number): number[] => Array.from({ length: n }, (_, i) => of(i))

describe('the slope of a figure over dispatches', () => {
  it('is exact for a straight line', () => {
    const { mean, perThousand, margin } = slopeOf(series(200, (i) => 100 + i))
    expect(mean).toBeCloseTo(199.5)
    expect(perThousand).toBeCloseTo(1000 / 199.5)
    expect(margin).toBeCloseTo(0)
  })

  it('of what never changes is none, also at zero', () => {
    expect(trendOf(slopeOf(series(100, () => 264)))).toBe('level')
    expect(slopeOf(series(100, () => 0))).toEqual({ mean: 0, perThousand: 0, margin: 0 })
  })

  it('a descriptor for each of 1000 dispatches is seen, and noise of a per cent is not taken for growth', () => {
    const random = noise(1)
    expect(trendOf(slopeOf(series(1000, (i) => 264 + i)))).toBe('grows')
    expect(trendOf(slopeOf(series(1000, () => 300 + 3 * random())))).toBe('level')
  })

  it('what falls steeply is not called level; what falls by less than it may grow is', () => {
    expect(trendOf(slopeOf(series(1000, (i) => 300 - 0.06 * i)))).toBe('falls')
    expect(trendOf(slopeOf(series(1000, (i) => 300 - 0.001 * i)))).toBe('level')
  })

  it('growth of 2 % under noise of 2 % is seen; of noise alone too few samples decide nothing', () => {
    const random = noise(2)
    const growing = series(1000, (i) => 300 * (1 + (0.02 * i) / 1000 + 0.02 * random()))
    expect(trendOf(slopeOf(growing))).toBe('grows')
    expect(trendOf(slopeOf(series(100, () => 300 * (1 + 0.02 * random()))))).toBe('undecided')
  })

  it('holds its 95 %: of 400 level series about 20 are outside their interval', () => {
    const outside = series(400, (seed) => {
      const random = noise(seed + 1)
      const { perThousand, margin } = slopeOf(series(300, () => 100 + random()))
      return Math.abs(perThousand) > margin ? 1 : 0
    }).reduce((sum, one) => sum + one, 0)
    expect(outside).toBeGreaterThan(5)
    expect(outside).toBeLessThan(45)
  })

  it('samples that follow each other say less: the interval is wider', () => {
    const random = noise(3)
    const free = series(400, () => 100 + random())
    let walk = 0
    const following = series(400, () => 100 + (walk = 0.9 * walk + random()))
    const width = (values: number[]) => {
      const { mean, margin } = slopeOf(values)
      const spread = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length)
      return (margin * mean) / spread
    }
    expect(width(following)).toBeGreaterThan(2.5 * width(free))
  })

  it('of a short series is not told', () => {
    expect(() => slopeOf([1, 2, 3])).toThrow('100 samples')
  })
})
