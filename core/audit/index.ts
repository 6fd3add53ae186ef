export type { AuditEntry, AuditFacts, AuditKind } from './entry.ts'
export { AuditLog, headPathOf, verifyAudit, type AuditOptions } from './log.ts'
