import { describe, expect, it } from 'vitest'
import { parseDeadline } from './deadline.ts'

describe('parseDeadline', () => {
  it('sends milliseconds of the seconds asked', () =>
    expect([parseDeadline('30'), parseDeadline(' 0,1 '), parseDeadline('3600')]).toEqual([
      { ok: true, ms: 30_000 },
      { ok: true, ms: 100 },
      { ok: true, ms: 3_600_000 },
    ]))
  it.each(['', 'x', '0', '0.05', '3601', '-1', 'Infinity'])('refuses %j', (text) =>
    expect(parseDeadline(text).ok).toBe(false),
  )
})
