import { join } from 'node:path'
import { fileError } from '../files.ts'
import type { Paths } from '../paths.ts'
import { BsmError, LogCursor, type LogPage, type LogSource } from '../protocol/index.ts'
import { closeLogFiles, openLogFiles, readAcross, type LogFile } from './log-file.ts'
import { parseLogLine } from './log-line.ts'

/** Bytes and lines of one answer. */
const PAGE_BYTES = 256 * 1024
const PAGE_LINES = 500
const NEWLINE = 0x0a

/** The files of each log, oldest first: what was rotated away once still counts, what is older is for a terminal. */
const filesOf = (paths: Paths): Record<LogSource, readonly string[]> => ({
  app: [join(paths.logsDir, 'app.log.1'), join(paths.logsDir, 'app.log')],
  console: [join(paths.logsDir, 'console.log.1'), join(paths.logsDir, 'console.log')],
  audit: [paths.auditLog],
})

export interface LogQuery {
  readonly source: LogSource
  readonly after?: string | undefined
  readonly before?: string | undefined
}

/**
 * At most 500 lines: the end of a log, what was written `after` a place in it, or what stands `before` one.
 * Where more was written than fits, the newest are given and the answer says that it skipped. Throws a sentence.
 */
export function readLog(paths: Paths, { source, after, before }: LogQuery): LogPage {
  if (after !== undefined && before !== undefined)
    throw new BsmError('BAD_REQUEST', 'app', 'A log is read after a place or before one, not both.')
  let files: LogFile[]
  try {
    files = openLogFiles(filesOf(paths)[source])
  } catch (error) {
    throw fileError(error, `read the ${source} log`)
  }
  try {
    return pageOf(source, files, after, before)
  } catch (error) {
    throw fileError(error, `read the ${source} log`)
  } finally {
    closeLogFiles(files)
  }
}

function pageOf(source: LogSource, files: LogFile[], after?: string, before?: string): LogPage {
  const total = files.reduce((sum, { size }) => sum + size, 0)
  const asked = after === undefined ? 0 : positionOf(files, after)
  const to = before === undefined ? total : (positionOf(files, before) ?? 0)
  const from = Math.max(asked ?? 0, to - PAGE_BYTES)
  const bytes = readAcross(files, from, to)
  // Half a line at the end will be whole next time; half a line at the front is not shown.
  const end = bytes.lastIndexOf(NEWLINE) + 1
  const cutInside = from > (asked ?? 0)
  let start = cutInside ? bytes.indexOf(NEWLINE) + 1 : 0
  const all: string[] = []
  const ends: number[] = []
  for (let at = start, next = 0; at < end; at = next) {
    next = bytes.indexOf(NEWLINE, at) + 1
    all.push(bytes.toString('utf8', at, next - 1))
    ends.push(next)
  }
  const extra = Math.max(0, all.length - PAGE_LINES)
  if (extra > 0) start = ends[extra - 1] ?? start
  const lines = all.slice(extra).filter((line) => line !== '')
  return {
    source,
    lines: lines.map((line) => parseLogLine(source, line)),
    start: from + start === 0 ? null : cursorAt(files, from + start),
    end: cursorAt(files, from + end),
    skipped: after !== undefined && (asked === null || cutInside || extra > 0),
  }
}

/** Null when the file that the cursor names is gone. */
function positionOf(files: readonly LogFile[], cursor: string): number | null {
  const [id = '', offset = ''] = LogCursor.parse(cursor).split('.')
  let base = 0
  for (const file of files) {
    if (file.id === id) return base + Math.min(Number(offset), file.size)
    base += file.size
  }
  return null
}

function cursorAt(files: readonly LogFile[], position: number): string | null {
  let base = 0
  for (const [i, file] of files.entries()) {
    if (position < base + file.size || i === files.length - 1) return `${file.id}.${position - base}`
    base += file.size
  }
  return null
}
