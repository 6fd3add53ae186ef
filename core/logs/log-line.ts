import * as z from 'zod'
import type { LogLine } from '../protocol/index.ts'
import { Timestamp, type LogSource } from '../protocol/index.ts'

/** Characters of one line that are shown; the file has all of it. */
const LINE_CHARS = 4_096

const LEVELS: readonly { readonly from: number; readonly level: LogLine['level'] }[] = [
  { from: 50, level: 'error' },
  { from: 40, level: 'warn' },
  { from: 30, level: 'info' },
]

const AppLine = z.object({
  time: Timestamp,
  level: z.number(),
  from: z.string().optional(),
  msg: z.string().optional(),
})
const AuditLine = z.looseObject({ ts: Timestamp, kind: z.string() })
/** Entries that a person should not overlook. */
const AUDIT_LEVELS: Readonly<Record<string, LogLine['level']>> = {
  degraded: 'error',
  audit_tampering_found: 'error',
  helper_crashed: 'warn',
  dispatch_interrupted: 'warn',
  audit_repaired: 'warn',
  recovered: 'warn',
}

/** A line of a log as a person reads it; one that is not what it should be is shown as it is. */
export function parseLogLine(source: LogSource, line: string): LogLine {
  const read = { app: appLine, console: consoleLine, audit: auditLine }[source](line)
  const { text } = read
  return text.length <= LINE_CHARS
    ? read
    : { ...read, text: `${text.slice(0, LINE_CHARS).replace(/[\ud800-\udbff]$/, '')} …` }
}

const asIs = (from: string, text: string): LogLine => ({ at: null, level: 'info', from, text })

function appLine(line: string): LogLine {
  const parsed = AppLine.safeParse(json(line))
  if (!parsed.success) return asIs('app', line)
  const { time, level, from = 'app', msg = '' } = parsed.data
  const name = LEVELS.find((candidate) => level >= candidate.from)?.level ?? 'debug'
  return { at: time, level: name, from, text: msg }
}

function consoleLine(line: string): LogLine {
  const space = line.indexOf(' ')
  const at = Timestamp.safeParse(line.slice(0, space))
  if (space === -1 || !at.success) return asIs('guest', line)
  return { at: at.data, level: 'info', from: 'guest', text: line.slice(space + 1) }
}

/** Facts only: the entry's place in the chain is for `bsm audit verify`. */
function auditLine(line: string): LogLine {
  const parsed = AuditLine.safeParse(json(line))
  if (!parsed.success) return { ...asIs('unreadable', line), level: 'error' }
  const { ts, kind, seq: _seq, prev: _prev, hash: _hash, ...facts } = parsed.data
  const text = Object.entries(facts)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ')
  return { at: ts, level: AUDIT_LEVELS[kind] ?? 'info', from: kind, text }
}

function json(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return null
  }
}
