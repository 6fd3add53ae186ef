import { describe, expect, it } from 'vitest'
import { escapeLine, escapeText, StreamEscaper, terminalSafeJson } from './escape.ts'

function stream(...pieces: (string | number[])[]): string {
  const escaper = new StreamEscaper()
  return pieces.map((piece) => escaper.push(Buffer.from(piece as string))).join('') + escaper.end()
}

describe('text of a guest', () => {
  it('keeps letters, lines and tabs', () => {
    expect(escapeText('Grüße\t漢字 🙂\nnext')).toBe('Grüße\t漢字 🙂\nnext')
  })

  it.each([
    ['\u001b[2J', '\\x1b[2J'],
    ['\u001b]0;title\u0007', '\\x1b]0;title\\x07'],
    ['\u009b31m', '\\x9b31m'],
    ['a\bb', 'a\\x08b'],
    ['over\rwrite', 'over\\rwrite'],
    ['\u007f', '\\x7f'],
    ['\u0000', '\\x00'],
    ['\u202eevil', '\\u{202e}evil'],
    ['\u2066', '\\u{2066}'],
    ['\u200b\u2028\ufeff', '\\u{200b}\\u{2028}\\u{feff}'],
    ['\u{e0041}', '\\u{e0041}'],
  ])('shows %j instead of obeying it', (hostile, shown) => {
    expect(escapeText(hostile)).toBe(shown)
  })

  it('stays in its cell', () => {
    expect(escapeLine('a\nb\tc')).toBe('a\\nb c')
  })
})

describe('a stream of a guest', () => {
  it('puts characters together that were cut', () => {
    const [first, ...rest] = Buffer.from('ü')
    expect(stream([first ?? 0], rest)).toBe('ü')
  })

  it('takes CRLF for a line break, also when cut in two', () => {
    expect(stream('a\r\nb\r', '\nc')).toBe('a\nb\nc')
  })

  it('shows a carriage return that stands alone', () => {
    expect(stream('a\r', 'b\r')).toBe('a\\rb\\r')
  })

  it('does not let an escape sequence through in two pieces', () => {
    expect(stream('\u001b', '[2J')).toBe('\\x1b[2J')
  })

  it('replaces bytes that are no text', () => {
    expect(stream([0xff, 0x41])).toBe('\ufffdA')
  })
})

describe('JSON on a terminal', () => {
  it('is the same value without a character that is obeyed', () => {
    const value = { stdout: 'a\u001b[2J\u009b\u202e\u{e0041}\n"' }
    const json = terminalSafeJson(value)
    expect(JSON.parse(json)).toEqual(value)
    expect(escapeText(json)).toBe(json)
  })
})
