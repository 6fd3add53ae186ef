import { expect, it } from 'vitest'
import { LogBudget } from './log-budget.ts'

it('a log budget admits so many lines a minute, and then says how many it did not', () => {
  let ms = 0
  const budget = new LogBudget({ now: () => new Date(ms), monotonic: () => ms }, 3)
  const told: number[] = []
  const tell = (lines: number): void => void told.push(lines)
  expect(Array.from({ length: 5 }, () => budget.admits(tell))).toEqual([true, true, true, false, false])
  expect(told).toEqual([])
  ms = 60_000
  expect(budget.admits(tell)).toBe(true)
  expect(told).toEqual([2])
  ms = 120_000
  expect(budget.admits(tell)).toBe(true)
  expect(told, 'a minute within bounds has nothing to tell').toEqual([2])
})
