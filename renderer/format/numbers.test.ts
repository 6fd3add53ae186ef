import { describe, expect, it } from 'vitest'
import { ago, axis, bytes, milliseconds, shortDigest, span } from './numbers.ts'

describe('milliseconds', () => {
  it.each([
    [0, '0 ms'],
    [0.44, '0.4 ms'],
    [6.62, '6.6 ms'],
    [9.96, '10 ms'],
    [34.4, '34 ms'],
    [999.4, '999 ms'],
    [999.6, '1.00 s'],
    [1_234, '1.23 s'],
    [12_340, '12.3 s'],
    [123_000, '2 min 3 s'],
  ])('writes %d as %s', (ms, text) => expect(milliseconds(ms)).toBe(text))
  it('says that a time is not known', () => expect(milliseconds(null)).toBe('—'))
})

describe('span', () => {
  it.each([
    [0, '0 s'],
    [59_400, '59 s'],
    [60_000, '1 min'],
    [7_500_000, '2 h 5 min'],
    [187_200_000, '2 d 4 h'],
  ])('writes %d ms as %s', (ms, text) => expect(span(ms)).toBe(text))
})

describe('axis', () => {
  it.each([
    [60, '60 ms'],
    [1_000, '1 s'],
    [1_500, '1.5 s'],
  ])('writes %d as %s', (ms, text) => expect(axis(ms)).toBe(text))
})

describe('bytes', () => {
  it.each([
    [0, '0 B'],
    [1_023, '1023 B'],
    [1_024, '1 KiB'],
    [1_536, '1.5 KiB'],
    [115_343_360, '110 MiB'],
    [1_073_741_823, '1 GiB'],
  ])('writes %d as %s', (n, text) => expect(bytes(n)).toBe(text))
})

describe('ago', () => {
  const now = Date.parse('2026-11-23T12:00:00Z')
  it.each([
    [0, 'just now'],
    [-5_000, 'just now'],
    [19_999, '10 s ago'],
    [60_000, '1 min ago'],
    [3_700_000, '1 h ago'],
    [200_000_000, '2 d ago'],
  ])('calls %d ms back "%s"', (ms, text) => expect(ago(new Date(now - ms).toISOString(), now)).toBe(text))
})

describe('shortDigest', () => {
  it('keeps both ends of a digest', () =>
    expect(shortDigest(`sha256:${'0123456789abcdef'.repeat(4)}`)).toBe('0123…cdef'))
  it('says that a digest is not known', () => expect(shortDigest(null)).toBe('—'))
})
