import { describe, expect, it } from 'vitest'
import { ago, bytes, duration, shortDigest } from './units.ts'

describe('units', () => {
  it.each([
    [0, '0.0 ms'],
    [0.44, '0.4 ms'],
    [4.26, '4.3 ms'],
    [12.6, '13 ms'],
    [999.9, '1.0 s'],
    [1_234, '1.2 s'],
    [59_940, '59.9 s'],
    [60_000, '1 min 0 s'],
    [3_661_000, '1 h 1 min'],
    [172_800_000, '2 days'],
  ])('say %d ms as %s', (ms, text) => expect(duration(ms)).toBe(text))

  it.each([
    [0, '0 B'],
    [1_023, '1023 B'],
    [1_536, '1.5 KiB'],
    [60 * 1024 ** 2, '60 MiB'],
    [5_000 * 1024 ** 3, '5000 GiB'],
  ])('say %d bytes as %s', (count, text) => expect(bytes(count)).toBe(text))

  it('count from a timestamp, never into the future', () => {
    const now = Date.parse('2026-01-01T00:00:10Z')
    expect(ago('2026-01-01T00:00:00Z', now)).toBe('10.0 s ago')
    expect(ago('2026-01-01T00:01:00Z', now)).toBe('1 ms ago')
  })

  it('shorten a digest', () => {
    expect(shortDigest(`sha256:${'0123456789ab'.repeat(5)}0123`)).toBe('sha256:0123456789ab')
    expect(shortDigest(null)).toBe('none')
  })
})
