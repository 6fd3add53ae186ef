import { describe, expect, it } from 'vitest'
import { duplicateKey } from './duplicate-key.ts'
import { engineCollector } from './garbage.ts'
import { LIMITS } from './limits.ts'
import { LineSplitter, parseJsonLine } from './ndjson.ts'

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

describe('a JSON line', () => {
  it.each([
    ['{"a":[1,{"b":"x"}],"c":null}'],
    ['"' + ',[{'.repeat(200_000) + '"'],
    ['{"quoted \\" {":"\\\\","end\\\\":[",",","]}'],
    ['['.repeat(LIMITS.jsonDepth) + ']'.repeat(LIMITS.jsonDepth)],
  ])('of modest size is parsed', (text) => {
    expect(parseJsonLine(text)).toEqual(JSON.parse(text))
  })

  it.each([
    ['[', LIMITS.jsonDepth + 1, 'deeper'],
    ['{"a":', 3_000_000, 'deeper'],
  ])('of many %s is refused before it is parsed', (part, times, why) => {
    expect(() => parseJsonLine(part.repeat(times))).toThrow(why)
  })

  it('of very many values is refused, whatever they are', () => {
    for (const value of ['0', '[]', '{}', '""']) {
      const list = (length: number) => `[${Array<string>(length).fill(value).join(',')}]`
      expect(() => parseJsonLine(list(LIMITS.jsonNodes + 1))).toThrow('values')
      expect(parseJsonLine(list(40_000))).toHaveLength(40_000)
    }
  })

  it('may be given a smaller budget', () => {
    expect(() => parseJsonLine('[1,2,3]', 2)).toThrow('more than 2 values')
    expect(parseJsonLine('[1,2,3]', 3)).toEqual([1, 2, 3])
  })

  it('cut off inside a string is no JSON', () => {
    expect(() => parseJsonLine('{"a":"b')).toThrow(SyntaxError)
  })
})

describe('a repeated key', () => {
  it('is not searched for in brackets without end', () => {
    expect(duplicateKey('{'.repeat(16 * 1024 * 1024))).toBeNull()
  })

  it.each([
    ['{"a":1,"b":{"a":1},"c":[{"a":1},{"a":2}]}', null],
    ['{"a":"a","b":"\\"a\\":"}', null],
    ['["a","a"]', null],
    ['{"a":1,"b":2,"a":3}', 'a'],
    ['{"x":{"k":1,"k":2}}', 'k'],
    ['[{"a":1},{"b":1,"b":2}]', 'b'],
    ['{"a\\\\":1,"a\\\\":2}', 'a\\'],
    ['{"a":["x",{"y":1}],"a":2}', 'a'],
    ['{"unfinished', null],
  ])('in %s is found: %s', (text, expected) => {
    expect(duplicateKey(text)).toBe(expected)
  })

  it('refuses the line, by name', () => {
    const line = '{"command":"true","\\u0063ommand":"rm"}'
    expect(() => parseJsonLine(line)).toThrow('key "command" is repeated')
  })
})
