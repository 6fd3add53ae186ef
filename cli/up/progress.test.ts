import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { snapshot } from '../../core/testing/snapshot.ts'
import { Progress } from './progress.ts'

describe('progress', () => {
  let lines: string[]
  let now: number
  const begin = () =>
    new Progress(
      (line) => lines.push(line),
      () => now,
    )
  beforeEach(() => {
    vi.useFakeTimers()
    lines = []
    now = 0
  })
  afterEach(() => vi.useRealTimers())

  it('says each change once, with the time since the start', () => {
    using progress = begin()
    progress.step('opening')
    now = 1_500
    progress.snapshot(snapshot({ state: 'starting', message: 'Starting the VM.' }))
    progress.snapshot(snapshot({ state: 'starting', message: 'Starting the VM.' }))
    expect(lines).toEqual([' 0.0 ms  opening', '  1.5 s  Starting the VM.'])
  })

  it('tells of a crash on the way, and shows nothing that a terminal obeys', () => {
    using progress = begin()
    const crash = 'The helper\u001b[2J ended.'
    progress.snapshot(snapshot({ state: 'starting', message: 'Again.', last_crash: crash }))
    expect(lines.map((line) => line.slice(9))).toEqual(['The helper\\x1b[2J ended.', 'Again.'])
  })

  it('says why a start was slow', () => {
    using progress = begin()
    progress.coldBoot('There was no golden snapshot yet.\u001b')
    expect(lines).toEqual([' 0.0 ms  booted from cold: There was no golden snapshot yet.\\x1b'])
  })

  it('says once what the message says too', () => {
    using progress = begin()
    const message = 'The helper ended. Starting a new one.'
    progress.snapshot(snapshot({ state: 'starting', message, last_crash: 'The helper ended.' }))
    expect(lines.map((line) => line.slice(9))).toEqual([message])
  })

  it('leaves a failure to whoever knows its error', () => {
    using progress = begin()
    progress.snapshot(snapshot({ state: 'failed', message: 'It failed.', last_crash: 'It failed.' }))
    expect(lines).toEqual([])
  })

  it('gives a sign of life while a step lasts, and none after the end', () => {
    {
      using progress = begin()
      progress.step('booting')
      now = 10_000
      vi.advanceTimersByTime(10_000)
      expect(lines.at(-1)).toBe(' 10.0 s  still: booting')
    }
    vi.advanceTimersByTime(60_000)
    expect(lines).toHaveLength(2)
  })
})
