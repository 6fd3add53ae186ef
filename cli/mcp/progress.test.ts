import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { Progress } from './progress.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

it('tells once a second however much happens, rises also when the clock does not, and ends', () => {
  const told: [number, string][] = []
  let now = 0
  {
    using progress = new Progress(
      (value, message) => told.push([value, message]),
      60_000,
      () => now,
    )
    progress.entered('running')
    for (let i = 0; i < 10_000; i += 1) progress.output(1024)
    vi.advanceTimersByTime(1_000)
    now = 2_000
    vi.advanceTimersByTime(1_000)
    progress.entered('resetting')
    vi.advanceTimersByTime(1_000)
  }
  vi.advanceTimersByTime(60_000)
  expect(told).toEqual([
    [0, 'waiting for its turn'],
    [0.001, 'running, 9.8 MiB of output, deadline 60 s'],
    [2, 'running, 9.8 MiB of output, deadline 60 s'],
    [2.001, 'wiping the VM and verifying the wipe'],
  ])
})
