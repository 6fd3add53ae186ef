import { StringDecoder } from 'node:string_decoder'

/**
 * What a terminal would obey instead of show, and what hides or reorders text: C0 and C1 controls except tab and
 * newline, DEL, bidi controls, line and paragraph separators, zero-width and tag characters.
 */
const OBEYED =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e007f}]/gu

function visible(character: string): string {
  const code = character.codePointAt(0) ?? 0
  if (code === 0x0d) return '\\r'
  if (code <= 0xff) return `\\x${code.toString(16).padStart(2, '0')}`
  return `\\u{${code.toString(16)}}`
}

/** Guest text, so that a terminal shows it and obeys nothing of it (protocol §5). Lines survive. */
export function escapeText(text: string): string {
  return text.replace(OBEYED, visible)
}

/** The same for one cell of a table: a line break is shown, too. */
export function escapeLine(text: string): string {
  return escapeText(text).replace(/\n/g, '\\n').replace(/\t/g, ' ')
}

/** JSON of the same value in which no character is obeyed by a terminal. */
export function terminalSafeJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(OBEYED, (character) =>
    [...Array(character.length).keys()]
      .map((i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`)
      .join(''),
  )
}

/** Escapes a stream that arrives in pieces: characters and CRLF may be cut anywhere. */
export class StreamEscaper {
  readonly #decoder = new StringDecoder('utf8')
  #carriageReturn = false

  push(bytes: Buffer): string {
    return this.#escape(this.#decoder.write(bytes))
  }

  /** What is left when the stream has ended. */
  end(): string {
    const rest = this.#escape(this.#decoder.end())
    return this.#carriageReturn ? `${rest}\\r` : rest
  }

  #escape(decoded: string): string {
    let text = this.#carriageReturn ? `\r${decoded}` : decoded
    this.#carriageReturn = text.endsWith('\r')
    if (this.#carriageReturn) text = text.slice(0, -1)
    // A line's CRLF is as harmless as its LF; a lone CR would overwrite what stands there.
    return escapeText(text.replace(/\r\n/g, '\n'))
  }
}
