import { describe, expect, it } from 'vitest'
import { inWords, slopeOf, slopeOfPairs, trendOf, type Pair } from './slope.ts'

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

  it.each([
    [0.0038, 0.0007, '0.38 % ± 0.07 % in 1000'],
    [-0.154, 0.02, '−15.4 % ± 2.00 % in 1000'],
    [-0.000_04, 0, '0.00 % ± 0.00 % in 1000'],
  ])('of %d ± %d is said as %s', (perThousand, margin, said) => {
    expect(inWords({ mean: 1, perThousand, margin })).toBe(said)
  })

  it('of a short series is not told', () => {
    expect(() => slopeOf([1, 2, 3])).toThrow('100 samples')
  })
})

describe('the slope of a time from pairs of worn and fresh', () => {
  const pairs = (n: number, of: (i: number) => Pair): Pair[] => Array.from({ length: n }, (_, i) => of(i))

  it('is what it has grown by, over the dispatches that lie between', () => {
    const { mean, perThousand, margin } = slopeOfPairs(
      pairs(100, () => ({ worn: 102, fresh: 98 })),
      2000,
    )
    expect(mean).toBe(100)
    expect(perThousand).toBeCloseTo(0.02)
    expect(margin).toBe(0)
  })

  it('a machine that gets slower by a tenth is not taken for wear, as it is by a straight line', () => {
    const random = noise(4)
    const machine = (i: number) => 600 * (1 + (0.1 * i) / 400) * (1 + 0.02 * random())
    expect(trendOf(slopeOf(series(400, machine)))).toBe('grows')
    expect(
      trendOf(
        slopeOfPairs(
          pairs(400, (i) => ({ worn: machine(i), fresh: machine(i) })),
          1750,
        ),
      ),
    ).toBe('level')
  })

  it('wear of 3 % under noise of 7 % is seen; of noise alone few pairs, or near ones, decide nothing', () => {
    const random = noise(5)
    const noisy = (ms: number) => ms * (1 + 0.12 * random())
    const worn = pairs(400, () => ({ worn: noisy(618), fresh: noisy(600) }))
    expect(trendOf(slopeOfPairs(worn, 1750))).toBe('grows')
    const level = pairs(400, () => ({ worn: noisy(600), fresh: noisy(600) }))
    expect(trendOf(slopeOfPairs(level, 100))).toBe('undecided')
    expect(trendOf(slopeOfPairs(level.slice(0, 100), 300))).toBe('undecided')
  })

  it('holds its 95 %: of 400 without wear about 20 are outside their interval', () => {
    const outside = series(400, (seed) => {
      const random = noise(seed + 1)
      const { perThousand, margin } = slopeOfPairs(
        pairs(100, () => ({ worn: 100 + random(), fresh: 100 + random() })),
        1750,
      )
      return Math.abs(perThousand) > margin ? 1 : 0
    }).reduce((sum, one) => sum + one, 0)
    expect(outside).toBeGreaterThan(5)
    expect(outside).toBeLessThan(45)
  })

  it('of few pairs is not told', () => {
    expect(() => slopeOfPairs([{ worn: 1, fresh: 1 }], 1750)).toThrow('100 pairs')
  })
})
