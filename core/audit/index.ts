export type { AuditEntry } from './entry.ts'
export { AuditLog, headPathOf } from './log.ts'
