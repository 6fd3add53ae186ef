import { describe, expect, it } from 'vitest'
import { engineCollector } from './garbage.ts'
import { LineSplitter } from './ndjson.ts'

const collectGarbage = engineCollector()

/** Bytes of JavaScript's memory in use, garbage aside. */
function memoryHeld(): number {
  collectGarbage?.()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

describe('a stream of lines', () => {
  const stream = Buffer.from('{"a":"ü"}\r\n\n  \n[1]\n' + 'x'.repeat(21) + '\n' + 'y'.repeat(20) + '\nrest')
  const whole = [
    { kind: 'line', text: '{"a":"ü"}' },
    { kind: 'line', text: '[1]' },
    { kind: 'too_long' },
    { kind: 'line', text: 'y'.repeat(20) },
  ]

  it('is read the same wherever it is cut, and an overlong line is told once', () => {
    for (let size = 1; size <= stream.length; size += 1) {
      const splitter = new LineSplitter(20)
      const lines = []
      for (let at = 0; at < stream.length; at += size)
        lines.push(...splitter.push(Buffer.from(stream.subarray(at, at + size))))
      expect(lines, `in chunks of ${size}`).toEqual(whole)
      expect(splitter.held).toBe('rest'.length)
    }
  })

  it('that comes byte by byte costs its bytes, not an object each', () => {
    const splitter = new LineSplitter()
    const length = 1024 * 1024
    const before = memoryHeld()
    for (let i = 0; i < length; i += 1) splitter.push(Buffer.from([0x20]))
    expect(memoryHeld() - before).toBeLessThan(16 * length)
    expect(splitter.held).toBe(length)
  })
})
