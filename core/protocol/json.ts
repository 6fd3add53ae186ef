import { LIMITS } from './limits.ts'

/** A JSON text that is too deep or too manifold, or repeats a key; the message is a sentence without its full stop. */
export class JsonFormError extends SyntaxError {
  override readonly name = 'JsonFormError'
}

/** Why {@link parseStrictJson} refused a line, as a sentence for whoever sent it. */
export const whyNotParsed = (thrown: unknown): string =>
  thrown instanceof JsonFormError ? `The ${thrown.message}.` : 'The line is not JSON.'

/**
 * Throws a {@link JsonFormError} when a JSON text is too deep or has too many parts to be parsed, in one scan that
 * ends at the first offence. A parser and a schema take longer for a thousand small values than for one
 * large one: the bytes alone bound nothing. A part is a `{`, `[` or `,` outside of strings.
 */
export function checkJsonSize(text: string, maxNodes: number = LIMITS.jsonNodes): void {
  let depth = 0
  let nodes = 0
  for (let i = 0; i < text.length; i += 1) {
    const c = text.charCodeAt(i)
    if (c === 0x22) {
      i = endOfJsonString(text, i)
      if (i === -1) return
    } else if (c === 0x7b || c === 0x5b) {
      nodes += 1
      depth += 1
      if (depth > LIMITS.jsonDepth)
        throw new JsonFormError(`JSON is nested deeper than ${LIMITS.jsonDepth} levels`)
    } else if (c === 0x2c) nodes += 1
    else if (c === 0x7d || c === 0x5d) depth -= 1
    if (nodes > maxNodes) throw new JsonFormError(`JSON has more than ${maxNodes} values`)
  }
}

/** Index of the quote that closes the string opened at `start`, or -1; at the speed of `indexOf`. */
function endOfJsonString(text: string, start: number): number {
  let end = start
  for (;;) {
    end = text.indexOf('"', end + 1)
    if (end === -1) return -1
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === 0x5c) backslashes += 1
    if (backslashes % 2 === 0) return end
  }
}

/** Parses a text; throws a `SyntaxError` with a sentence when it is not JSON, too deep or too manifold, or repeats a key. */
export function parseStrictJson(text: string, maxNodes: number = LIMITS.jsonNodes): unknown {
  checkJsonSize(text, maxNodes)
  const repeated = duplicateKey(text)
  if (repeated !== null) throw new JsonFormError(`key ${JSON.stringify(repeated.slice(0, 64))} is repeated`)
  return JSON.parse(text) as unknown
}

/**
 * The first key that an object in this JSON text repeats, or null.
 *
 * `JSON.parse` keeps the last of two equal keys, and another parser may keep the first: two readers of
 * one text would see different things, so such a text is refused (§3). Ill-formed text gives null;
 * the parser says what is wrong with it. So does text deeper than the protocol allows.
 */
export function duplicateKey(text: string): string | null {
  // One entry for each open bracket: the keys of an object, null for an array.
  const open: (Set<string> | null)[] = []
  let keyComesNext = false
  for (let i = 0; i < text.length; i += 1) {
    const c = text.charCodeAt(i)
    if (c === 0x22) {
      const end = endOfJsonString(text, i)
      if (end === -1) return null
      const keys = open.at(-1)
      if (keyComesNext && keys) {
        const key = unescape(text.slice(i, end + 1))
        if (key === null) return null
        if (keys.has(key)) return key
        keys.add(key)
        keyComesNext = false
      }
      i = end
    } else if ((c === 0x7b || c === 0x5b) && open.length >= LIMITS.jsonDepth) {
      return null
    } else if (c === 0x7b) {
      open.push(new Set())
      keyComesNext = true
    } else if (c === 0x5b) {
      open.push(null)
      keyComesNext = false
    } else if (c === 0x7d || c === 0x5d) {
      open.pop()
      keyComesNext = false
    } else if (c === 0x2c) keyComesNext = open.at(-1) instanceof Set
  }
  return null
}

function unescape(quoted: string): string | null {
  if (!quoted.includes('\\')) return quoted.slice(1, -1)
  try {
    const key: unknown = JSON.parse(quoted)
    return typeof key === 'string' ? key : null
  } catch {
    return null
  }
}
