import { describe, expect, it } from 'vitest'
import type { Output } from '../bridge/index.ts'
import { EMPTY_OUTPUT, LIVE_LIMIT, appendOutput } from './live-output.ts'

const chunk = (seq: number, bytes: Uint8Array | string, stream: Output['stream'] = 'stdout'): Output => ({
  type: 'output',
  command_id: 'c',
  stream,
  seq,
  data_b64: Buffer.from(bytes as string).toString('base64'),
})

describe('appendOutput', () => {
  it('keeps the order in which the streams wrote', () => {
    const live = [chunk(2, 'a'), chunk(3, 'b'), chunk(4, 'E', 'stderr'), chunk(5, 'c')].reduce(
      appendOutput,
      EMPTY_OUTPUT,
    )
    expect(live.segments).toEqual([
      { stream: 'stdout', text: 'ab' },
      { stream: 'stderr', text: 'E' },
      { stream: 'stdout', text: 'c' },
    ])
  })
  it('joins a character that two chunks share, with another stream in between', () => {
    const bytes = Buffer.from('😀')
    const live = [
      chunk(2, bytes.subarray(0, 3)),
      chunk(3, 'x', 'stderr'),
      chunk(4, bytes.subarray(3)),
    ].reduce(appendOutput, EMPTY_OUTPUT)
    expect(live.segments).toEqual([
      { stream: 'stderr', text: 'x' },
      { stream: 'stdout', text: '😀' },
    ])
  })
  it('takes a repeated chunk once', () => {
    const once = appendOutput(EMPTY_OUTPUT, chunk(2, 'a'))
    expect(appendOutput(once, chunk(2, 'a'))).toBe(once)
  })
  it('replaces bytes that are not UTF-8', () =>
    expect(appendOutput(EMPTY_OUTPUT, chunk(2, Uint8Array.of(0xff, 0x41))).segments[0]?.text).toBe('\ufffdA'))
  it('holds a bounded end of a flood and counts the rest', () => {
    let live = EMPTY_OUTPUT
    for (let i = 1; i <= 200; i += 1) live = appendOutput(live, chunk(i, `${i}`.padEnd(1_000, '.')))
    expect(live.held).toBeLessThanOrEqual(LIVE_LIMIT)
    expect(live.held + live.dropped).toBe(200_000)
    expect(live.segments.at(-1)?.text).toContain('200....')
    expect(live.segments.reduce((sum, segment) => sum + segment.text.length, 0)).toBe(live.held)
  })
})
