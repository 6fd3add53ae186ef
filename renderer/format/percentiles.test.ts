import { describe, expect, it } from 'vitest'
import { percentile, summarize } from './percentiles.ts'

describe('percentile', () => {
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i)
  it('is a value that occurred, whatever the order', () => {
    expect(percentile(hundred, 0.5)).toBe(50)
    expect(percentile(hundred, 0.95)).toBe(95)
  })
  it('is the only value of one', () => expect(percentile([7], 0.95)).toBe(7))
  it('is the upper of two at p95 and the lower at the median', () => {
    expect(percentile([9, 1], 0.5)).toBe(1)
    expect(percentile([9, 1], 0.95)).toBe(9)
  })
  it('is nothing of nothing', () => expect(percentile([], 0.5)).toBeNull())
  it('leaves its input as it was', () => {
    const values = [3, 1, 2]
    percentile(values, 0.5)
    expect(values).toEqual([3, 1, 2])
  })
})

describe('summarize', () => {
  it('gives count, median, tail and slowest', () =>
    expect(summarize([1, 2, 3, 4, 100])).toEqual({ n: 5, p50: 3, p95: 100, max: 100 }))
  it('is nothing of nothing', () => expect(summarize([])).toBeNull())
})
