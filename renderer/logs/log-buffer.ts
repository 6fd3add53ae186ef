import type { LogLine, LogPage } from '../protocol.ts'

/** Lines held at once; older ones can be asked for again. */
export const LINES_HELD = 2_000

/** `key` stays the line's own while others come and go; `gap` says that lines before it were left out. */
export type HeldLine = LogLine & { key: number; gap: boolean }

export type LogBuffer = {
  lines: readonly HeldLine[]
  /** Where the first line stands; null at the beginning of the log. */
  start: string | null
  end: string | null
  /** Keys of the newest and the oldest line. */
  last: number
  first: number
}

export function bufferOf(page: LogPage): LogBuffer {
  const empty: LogBuffer = { lines: [], start: page.start, end: page.end, last: -1, first: 0 }
  return newer(empty, { ...page, skipped: false })
}

/** With what came after; what is let go at the front is no longer known by its place. */
export function newer(buffer: LogBuffer, page: LogPage): LogBuffer {
  const added = page.lines.map((line, i) => ({
    ...line,
    key: buffer.last + 1 + i,
    gap: i === 0 && page.skipped,
  }))
  const lines = [...buffer.lines, ...added].slice(-LINES_HELD)
  const first = lines[0]?.key ?? buffer.first
  return {
    lines,
    start: buffer.start,
    end: page.end ?? buffer.end,
    last: buffer.last + added.length,
    first,
  }
}

/** With what stands before; as much of it as there is room for. */
export function older(buffer: LogBuffer, page: LogPage): LogBuffer {
  const added = page.lines.map((line, i) => ({
    ...line,
    key: buffer.first - page.lines.length + i,
    gap: false,
  }))
  return {
    ...buffer,
    lines: [...added, ...buffer.lines],
    start: page.start,
    first: buffer.first - added.length,
  }
}

/** Whether older lines can be asked for: there are some, none were let go, and there is room. */
export const canReachBack = (buffer: LogBuffer): boolean =>
  buffer.start !== null && buffer.lines.length < LINES_HELD

/** The lines that hold every word of `query`, whatever their case. */
export function matching(lines: readonly HeldLine[], query: string): readonly HeldLine[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean)
  if (words.length === 0) return lines
  return lines.filter(({ text, from, level }) => {
    const whole = `${level} ${from} ${text}`.toLowerCase()
    return words.every((word) => whole.includes(word))
  })
}

export type Part = { text: string; hit: boolean }

/** A text in parts, those that are a word of `query` marked. */
export function highlighted(text: string, query: string): Part[] {
  const words = query.split(/\s+/).filter(Boolean)
  if (words.length === 0) return [{ text, hit: false }]
  const pattern = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|')
  return text
    .split(new RegExp(`(${pattern})`, 'gi'))
    .map((part, i) => ({ text: part, hit: i % 2 === 1 }))
    .filter((part) => part.text !== '')
}
