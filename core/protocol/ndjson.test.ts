import { describe, expect, it } from 'vitest'
import { LIMITS } from './limits.ts'
import { parseJsonLine } from './ndjson.ts'

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
