import * as z from 'zod'
import { canonicalJson, Digest, sha256, Timestamp } from '../protocol/index.ts'

/** What an entry says beside its place in the chain. Facts and digests only, never tool output or parameters. */
export type AuditFacts = { readonly [key: string]: AuditValue | undefined }
type AuditValue = string | number | boolean | null | readonly AuditValue[] | AuditFacts

export type AuditKind =
  | 'app_started'
  | 'app_stopped'
  | 'audit_repaired'
  | 'audit_tampering_found'
  | 'vm_booted'
  | 'helper_crashed'
  | 'leftover_ended'
  | 'dispatch_started'
  | 'dispatch'
  /** Begun by an app that was killed before it ended; appended by the next one. */
  | 'dispatch_interrupted'
  | 'reset'
  | 'degraded'
  | 'recovered'
  | 'client_added'
  | 'client_revoked'
  | 'settings_changed'

/** One line of `audit.jsonl`. `kind` is open on reading: an older app must be able to check a newer log. */
export const AuditEntry = z.looseObject({
  seq: z.int().positive(),
  ts: Timestamp,
  kind: z.string(),
  /** Hash of the entry before; null in the first. */
  prev: Digest.nullable(),
  /** SHA-256 of the RFC 8785 JSON of the entry without this field. */
  hash: Digest,
})
export type AuditEntry = z.infer<typeof AuditEntry>

/** Longest line; more in the log was not written by us. */
export const MAX_ENTRY_BYTES = 64 * 1024

export function sealEntry(
  seq: number,
  prev: string | null,
  ts: string,
  kind: AuditKind,
  facts: AuditFacts,
): AuditEntry {
  const body = { ...facts, seq, ts, kind, prev }
  return { ...body, hash: sha256(canonicalJson(body)) }
}

/** The entry's line, newline included. */
export const entryLine = (entry: AuditEntry): Buffer =>
  Buffer.concat([canonicalJson(entry), Buffer.from('\n')])

/** Parses a line and checks its own hash; null when either fails. */
export function openEntry(line: string): AuditEntry | null {
  try {
    const entry = AuditEntry.parse(JSON.parse(line))
    const { hash, ...body } = entry
    // Compared as bytes: the same facts in another spelling were not written by us.
    if (hash !== sha256(canonicalJson(body))) return null
    return canonicalJson(entry).equals(Buffer.from(line, 'utf8')) ? entry : null
  } catch {
    return null
  }
}
