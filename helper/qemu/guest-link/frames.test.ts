import { describe, expect, it } from 'vitest'
import { engineCollector } from '../../../core/protocol/garbage.ts'
import { BsmError } from '../../../core/protocol/index.ts'
import { encodeFrame, FrameParser, nodeLimit, parseFrame } from './frames.ts'

const codeOf = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    if (error instanceof BsmError) return error.code
    throw error
  }
  return 'accepted'
}

const collectGarbage = engineCollector()

/** Bytes of JavaScript's memory in use, garbage aside. */
function memoryHeld(): number {
  collectGarbage?.()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

describe('frames', () => {
  it('are read the same wherever the stream is cut', () => {
    const stream = Buffer.concat([encodeFrame({ type: 'A' }), encodeFrame({ type: 'B', text: 'ü' })])
    for (let cut = 0; cut <= stream.length; cut += 1) {
      const parser = new FrameParser(1024)
      const bodies = [...parser.push(stream.subarray(0, cut)), ...parser.push(stream.subarray(cut))]
      expect(bodies.map((body) => parseFrame(body))).toEqual([{ type: 'A' }, { type: 'B', text: 'ü' }])
      expect(parser.held).toBe(0)
    }
  })

  it('are not changed by what comes after them', () => {
    const parser = new FrameParser(1024)
    const first = encodeFrame({ type: 'A', text: 'x'.repeat(40) })
    parser.push(first.subarray(0, 9))
    const [body] = parser.push(Buffer.concat([first.subarray(9), Buffer.from([0, 0])]))
    for (const byte of Buffer.concat([Buffer.from([0, 60]), Buffer.alloc(60, 0x7a)]))
      parser.push(Buffer.from([byte]))
    expect(parseFrame(body ?? Buffer.alloc(0))).toEqual({ type: 'A', text: 'x'.repeat(40) })
  })

  it('that come byte by byte cost their bytes, not an object each', () => {
    const parser = new FrameParser(16 * 1024 * 1024)
    const length = 1024 * 1024
    const header = Buffer.alloc(4)
    header.writeUInt32BE(length)
    parser.push(header)
    const before = memoryHeld()
    for (let i = 0; i < length - 1; i += 1) parser.push(Buffer.from([0x20]))
    expect(memoryHeld() - before).toBeLessThan(16 * length)
    expect(parser.held).toBe(4 + length - 1)
    expect(parser.push(Buffer.from([0x20]))).toHaveLength(1)
  })

  it('over the limit are refused by their length, before their bytes come', () => {
    expect(codeOf(() => new FrameParser(10).push(Buffer.from([0, 0, 0, 11])))).toBe('FRAME_TOO_LARGE')
    expect(codeOf(() => new FrameParser(10).push(Buffer.from([255, 255, 255, 255])))).toBe('FRAME_TOO_LARGE')
  })

  it('of the longest length allowed are taken', () => {
    const parser = new FrameParser(4)
    expect(parser.push(Buffer.concat([Buffer.from([0, 0, 0, 4]), Buffer.from('null')]))).toHaveLength(1)
  })

  it('of no bytes are malformed', () => {
    expect(codeOf(() => new FrameParser(10).push(Buffer.from([0, 0, 0, 0])))).toBe('FRAME_MALFORMED')
  })

  it('know how much of an unfinished one they hold', () => {
    const parser = new FrameParser(10)
    parser.push(Buffer.from([0, 0, 0, 4, 1]))
    expect(parser.held).toBe(5)
  })

  it.each([
    ['not UTF-8', Buffer.from([0x22, 0xff, 0x22])],
    ['not JSON', Buffer.from('{')],
    ['nested too deeply', Buffer.from('['.repeat(65) + ']'.repeat(65))],
    ['nested without end', Buffer.alloc(16 * 1024 * 1024, '{')],
    ['of millions of values', Buffer.from(`[${'0,'.repeat(3_000_000)}0]`)],
    ['with a byte order mark, which is no JSON', Buffer.from('\ufeff{"type":"Pong"}')],
    ['with a key twice', Buffer.from('{"type":"Pong","type":"Hello"}')],
    ['with a key twice, once escaped', Buffer.from('{"type":"Pong","t\\u0079pe":"Hello"}')],
  ])('%s are malformed', (_, body) => {
    expect(codeOf(() => parseFrame(body))).toBe('FRAME_MALFORMED')
  })
})

describe('parts of a frame', () => {
  it('are fewer on the query and control ports', () => {
    const body = Buffer.from(`[${'0,'.repeat(30_000)}0]`)
    expect(codeOf(() => parseFrame(body, nodeLimit(1024)))).toBe('accepted')
    expect(codeOf(() => parseFrame(body, nodeLimit(1027)))).toBe('FRAME_MALFORMED')
  })
})
