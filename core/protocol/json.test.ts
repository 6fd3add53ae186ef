import { describe, expect, it } from 'vitest'
import { duplicateKey, parseStrictJson } from './json.ts'
import { LIMITS } from './limits.ts'

describe('a JSON text', () => {
  it.each([
    ['{"a":[1,{"b":"x"}],"c":null}'],
    ['"' + ',[{'.repeat(200_000) + '"'],
    ['{"quoted \\" {":"\\\\","end\\\\":[",",","]}'],
    ['['.repeat(LIMITS.jsonDepth) + ']'.repeat(LIMITS.jsonDepth)],
  ])('of modest size is parsed', (text) => {
    expect(parseStrictJson(text)).toEqual(JSON.parse(text))
  })

  it.each([
    ['[', LIMITS.jsonDepth + 1, 'deeper'],
    ['{"a":', 3_000_000, 'deeper'],
  ])('of many %s is refused before it is parsed', (part, times, why) => {
    expect(() => parseStrictJson(part.repeat(times))).toThrow(why)
  })

  it('of very many values is refused, whatever they are', () => {
    for (const value of ['0', '[]', '{}', '""']) {
      const list = (length: number) => `[${Array<string>(length).fill(value).join(',')}]`
      expect(() => parseStrictJson(list(LIMITS.jsonNodes + 1))).toThrow('values')
      expect(parseStrictJson(list(40_000))).toHaveLength(40_000)
    }
  })

  it('may be given a smaller budget', () => {
    expect(() => parseStrictJson('[1,2,3]', 2)).toThrow('more than 2 values')
    expect(parseStrictJson('[1,2,3]', 3)).toEqual([1, 2, 3])
  })

  it('cut off inside a string is no JSON', () => {
    expect(() => parseStrictJson('{"a":"b')).toThrow(SyntaxError)
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

  it('refuses the text, by name', () => {
    const text = '{"command":"true","\\u0063ommand":"rm"}'
    expect(() => parseStrictJson(text)).toThrow('key "command" is repeated')
  })
})
