import * as z from 'zod'
import { Timestamp } from './common.ts'

/** The logs a person may read: the app's with the helper's, the guest's console, the audit log. */
export const LogSource = z.enum(['app', 'console', 'audit'])
export type LogSource = z.infer<typeof LogSource>

/** A place in a log, as an earlier answer gave it: file and offset. */
export const LogCursor = z.string().regex(/^[0-9]{1,20}\.[0-9]{1,15}$/)

/** One line. `text` may be the guest's own words: hostile, escape before showing. */
export const LogLine = z.object({
  at: Timestamp.nullable(),
  level: z.enum(['debug', 'info', 'warn', 'error']),
  /** `app`, `helper`, `guest`, or the kind of an audit entry. */
  from: z.string(),
  text: z.string(),
})
export type LogLine = z.infer<typeof LogLine>

/** A bounded piece of a log, oldest line first. */
export const LogPage = z.object({
  source: LogSource,
  lines: z.array(LogLine),
  /** Where the piece begins; null at the beginning of what is kept. */
  start: LogCursor.nullable(),
  /** Where it ends: later lines come after this. Null while there is no log. */
  end: LogCursor.nullable(),
  /** Lines between the place asked from and the first line here were left out: too many, or deleted. */
  skipped: z.boolean(),
})
export type LogPage = z.infer<typeof LogPage>
