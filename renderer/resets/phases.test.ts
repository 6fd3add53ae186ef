import { describe, expect, it } from 'vitest'
import { roundUp, scaleFor, stackPhases } from './phases.ts'

describe('stackPhases', () => {
  it('does not count as waited what had been done ahead', () => {
    const stack = stackPhases({
      total_ms: 20,
      phases: [
        { name: 'load', ms: 120, ahead: true },
        { name: 'discard', ms: 5, ahead: false },
        { name: 'verify', ms: 15, ahead: false },
      ],
    })
    expect(stack.waitedMs).toBe(20)
    expect(stack.aheadMs).toBe(120)
    expect(stack.waited.map((part) => part.name)).toEqual(['discard', 'verify'])
  })
  it('shows time that no phase accounts for', () =>
    expect(stackPhases({ total_ms: 20, phases: [{ name: 'verify', ms: 15, ahead: false }] }).waited).toEqual([
      { name: 'verify', ms: 15 },
      { name: 'other', ms: 5 },
    ]))
  it('takes rounding for rounding', () =>
    expect(
      stackPhases({ total_ms: 15.05, phases: [{ name: 'verify', ms: 15, ahead: false }] }).waited,
    ).toEqual([{ name: 'verify', ms: 15 }]))
  it('puts phases in the order of the protocol and repeats together', () =>
    expect(
      stackPhases({
        total_ms: 9,
        phases: [
          { name: 'verify', ms: 2, ahead: false },
          { name: 'load', ms: 3, ahead: false },
          { name: 'verify', ms: 4, ahead: false },
        ],
      }).waited,
    ).toEqual([
      { name: 'load', ms: 3 },
      { name: 'verify', ms: 6 },
    ]))
})

describe('scaleFor', () => {
  it('leaves a far target off the scale', () =>
    expect(scaleFor([20, 25, 50], 1_000)).toEqual({ top: 60, target: null }))
  it('takes in a target that resets come near to', () => {
    const scale = scaleFor([400, 500], 1_000)
    expect(scale.target).toBe(1_000)
    expect(scale.top).toBeGreaterThan(1_000)
  })
  it('is not flattened by one slow reset', () =>
    expect(scaleFor([...Array.from({ length: 40 }, () => 25), 2_000], 1_000).top).toBe(30))
  it('holds without any reset', () => expect(scaleFor([], 1_000).top).toBeGreaterThan(0))
})

describe('roundUp', () => {
  it.each([
    [54, 60],
    [60, 60],
    [0.108, 0.15],
    [1_080, 1_500],
    [9.1, 10],
  ])('takes %d to %d', (value, top) => expect(roundUp(value)).toBeCloseTo(top, 9))
})
