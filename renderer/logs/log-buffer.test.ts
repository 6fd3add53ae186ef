import { describe, expect, it } from 'vitest'
import type { LogPage } from '../protocol.ts'
import { LINES_HELD, bufferOf, canReachBack, highlighted, matching, newer, older } from './log-buffer.ts'

const page = (from: number, to: number, rest: Partial<LogPage> = {}): LogPage => ({
  source: 'app',
  lines: Array.from({ length: to - from }, (_, i) => ({
    at: null,
    level: 'info' as const,
    from: 'app',
    text: `line ${from + i}`,
  })),
  start: '1.0',
  end: '1.9',
  skipped: false,
  ...rest,
})

describe('a log on the page', () => {
  it('grows at both ends and keeps the name of every line', () => {
    const tail = bufferOf(page(10, 12))
    const grown = newer(tail, page(12, 14, { skipped: true, end: '1.20' }))
    const back = older(grown, page(8, 10, { start: null }))
    expect(back.lines.map(({ text }) => text)).toEqual([8, 9, 10, 11, 12, 13].map((n) => `line ${n}`))
    expect(new Set(back.lines.map(({ key }) => key)).size).toBe(6)
    expect(back.lines.filter(({ gap }) => gap).map(({ text }) => text)).toEqual(['line 12'])
    expect([back.end, canReachBack(back), canReachBack(grown)]).toEqual(['1.20', false, true])
  })

  it('holds a bounded number of lines, the newest, and then reaches back no more', () => {
    let buffer = bufferOf(page(0, 500))
    for (let n = 1; n < 10; n += 1) buffer = newer(buffer, page(n * 500, (n + 1) * 500))
    expect(buffer.lines).toHaveLength(LINES_HELD)
    expect(buffer.lines.at(-1)?.text).toBe('line 4999')
    expect(canReachBack(buffer)).toBe(false)
  })

  it('finds lines by every word, and marks the words', () => {
    const { lines } = bufferOf(page(0, 20))
    expect(matching(lines, ' LINE  7 ').map(({ text }) => text)).toEqual(['line 7', 'line 17'])
    expect(matching(lines, '')).toHaveLength(20)
    expect(highlighted('a (b) A', '(b) a')).toEqual([
      { text: 'a', hit: true },
      { text: ' ', hit: false },
      { text: '(b)', hit: true },
      { text: ' ', hit: false },
      { text: 'A', hit: true },
    ])
  })
})
