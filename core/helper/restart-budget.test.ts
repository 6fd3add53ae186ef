import { expect, it } from 'vitest'
import { RestartBudget } from './restart-budget.ts'

const LIMITS = { restarts: 3, windowMs: 1_000, firstDelayMs: 10, longestDelayMs: 25, stableMs: 500 }

it('waits twice as long each time, up to a bound, and then gives up', () => {
  const budget = new RestartBudget(LIMITS)
  expect([0, 1, 2, 3].map((now) => budget.spend(now, null))).toEqual([10, 20, 25, null])
})

it('forgets crashes that are older than the window', () => {
  const budget = new RestartBudget(LIMITS)
  for (const now of [0, 1, 2]) budget.spend(now, null)
  expect(budget.spend(1_500, null)).toBe(10)
})

it('forgets them all once a helper ran long enough', () => {
  const budget = new RestartBudget(LIMITS)
  for (const now of [0, 1, 2]) budget.spend(now, null)
  expect(budget.spend(600, 550)).toBeNull()
  expect(budget.spend(600, 50)).toBe(10)
})
