import { LIMITS } from './limits.ts'
import { endOfJsonString } from './ndjson.ts'

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
