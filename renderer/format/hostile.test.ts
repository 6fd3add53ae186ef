import { describe, expect, it } from 'vitest'
import { tail, visible, visibleLine } from './hostile.ts'

describe('visible', () => {
  it('leaves ordinary text, newlines, tabs and other scripts alone', () => {
    const text = 'naïve\tΩ 日本語 👩‍🚀'.replace('\u200d', '') + '\nעברית\n'
    expect(visible(text)).toBe(text)
  })
  it('shows escape sequences instead of obeying or dropping them', () =>
    expect(visible('\u001b[31mok\u001b[0m\u0007\u0000\u007f')).toBe('␛[31mok␛[0m␇␀␡'))
  it('shows a lone carriage return, which would overwrite a line', () =>
    expect(visible('safe\rEVIL\r\nnext')).toBe('safe␍EVIL\nnext'))
  it('names C1 controls, which some terminals obey', () => expect(visible('\u009b2J')).toBe('⟨U+009B⟩2J'))
  it.each(['\u202e', '\u202a', '\u2066', '\u2069', '\u200e', '\u200f', '\u061c'])(
    'neutralises the bidi control %j',
    (control) => {
      const shown = visible(`invoice${control}fdp.exe`)
      expect(shown).not.toContain(control)
      expect(shown).toMatch(/^invoice⟨U\+[0-9A-F]{4}⟩fdp\.exe$/)
    },
  )
  it.each(['\u200b', '\u2060', '\ufeff', '\u00ad', '\u2028', '\u{e0041}'])(
    'names the invisible %j',
    (hidden) => {
      expect(visible(`a${hidden}b`)).toMatch(/^a⟨U\+[0-9A-F]{4,5}⟩b$/)
    },
  )
  it('replaces half a surrogate pair', () => expect(visible('a\ud800b')).toBe('a\ufffdb'))
  it('keeps a whole surrogate pair', () => expect(visible('\u{1f600}')).toBe('\u{1f600}'))
})

describe('visibleLine', () => {
  it('lets nothing break out of its line', () => expect(visibleLine('a\nb\tc')).toBe('a␊b␉c'))
})

describe('tail', () => {
  it('keeps a short text whole', () => expect(tail('abc', 3)).toEqual({ text: 'abc', hiddenChars: 0 }))
  it('keeps the end and counts what it hides', () =>
    expect(tail('0123456789', 4)).toEqual({ text: '6789', hiddenChars: 6 }))
  it('begins at a line where one is near', () =>
    expect(tail('aaaa\nbbbbbbbb', 9)).toEqual({ text: 'bbbbbbbb', hiddenChars: 5 }))
  it('does not begin in the middle of a character', () => expect(tail('aa\u{1f600}bcd', 4).text).toBe('bcd'))
})
