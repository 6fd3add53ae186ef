import { describe, expect, it } from 'vitest'
import { table } from './table.ts'
import { wrap } from './wrap.ts'

describe('wrap', () => {
  it('breaks between words, and indents what follows', () => {
    expect(wrap('  one two three four', 11)).toEqual(['  one two', '    three', '    four'])
  })

  it('keeps facts together', () => {
    expect(wrap('load 12 ms · resume 4 ms · verify 9 ms', 26)).toEqual([
      'load 12 ms · resume 4 ms',
      '  verify 9 ms',
    ])
  })

  it('breaks a fact that is too long by itself', () => {
    expect(wrap('one · two three four five', 10)).toEqual(['one', '  two', '  three', '  four', '  five'])
  })

  it('leaves a word whole, however long, and a line for a program', () => {
    expect(wrap('see /a/very/long/path now', 8)).toEqual(['see', '  /a/very/long/path', '  now'])
    expect(wrap('one two three', null)).toEqual(['one two three'])
  })
})

describe('a table', () => {
  it('goes on under its last column', () => {
    const rows = [
      ['a', 'short'],
      ['long name', 'what does not fit beside it'],
    ]
    expect(table(rows, { indent: '  ', columns: 27 })).toEqual([
      '  a          short',
      '  long name  what does not',
      '             fit beside it',
    ])
  })
})
