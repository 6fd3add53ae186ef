/**
 * Guest text is hostile (protocol §5). React already keeps it from becoming markup; what is left is
 * text that lies: escape sequences, characters that reorder the line, and ones that cannot be seen.
 */

const named = (code: number) => `⟨U+${code.toString(16).toUpperCase().padStart(4, '0')}⟩`

/** Reorders what follows it, hides, or breaks a line where no newline stands. */
function isDeceptive(code: number): boolean {
  return (
    code === 0x00ad ||
    code === 0x034f ||
    code === 0x061c ||
    code === 0x115f ||
    code === 0x1160 ||
    code === 0x180e ||
    code === 0x3164 ||
    code === 0xfeff ||
    code === 0xffa0 ||
    (code >= 0x200b && code <= 0x200f) ||
    (code >= 0x2028 && code <= 0x202e) ||
    (code >= 0x2060 && code <= 0x206f) ||
    (code >= 0xfff9 && code <= 0xfffb) ||
    (code >= 0xe0000 && code <= 0xe0fff)
  )
}

/** Quick refusal to look closer: printable ASCII, newline and tab are most of what comes. */
const PLAIN = /^[\n\t -~]*$/

/** The text with every control character visible and every deceptive one named; newline and tab stay. */
export function visible(text: string): string {
  if (PLAIN.test(text)) return text
  let out = ''
  for (const char of text.replaceAll('\r\n', '\n')) {
    const code = char.codePointAt(0) ?? 0
    if (code === 0x0a || code === 0x09) out += char
    else if (code < 0x20) out += String.fromCharCode(0x2400 + code)
    else if (code === 0x7f) out += '␡'
    else if (code >= 0x80 && code <= 0x9f) out += named(code)
    else if (code >= 0xd800 && code <= 0xdfff) out += '\ufffd'
    else if (isDeceptive(code)) out += named(code)
    else out += char
  }
  return out
}

/** For one line: newlines and tabs are made visible too. */
export const visibleLine = (text: string): string => visible(text).replaceAll('\n', '␊').replaceAll('\t', '␉')

/** What of a long text goes into the page; the rest stays out of the DOM. */
export type Excerpt = { text: string; hiddenChars: number }

/** The end of a text, from the start of a line where one is near; `limit` in characters. */
export function tail(text: string, limit: number): Excerpt {
  if (text.length <= limit) return { text, hiddenChars: 0 }
  let start = text.length - limit
  const newline = text.indexOf('\n', start)
  if (newline !== -1 && newline - start < limit / 4) start = newline + 1
  else if (isLowSurrogate(text.charCodeAt(start))) start += 1
  return { text: text.slice(start), hiddenChars: start }
}

const isLowSurrogate = (code: number) => code >= 0xdc00 && code <= 0xdfff
