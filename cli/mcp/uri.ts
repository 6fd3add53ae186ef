/** Addresses of the resources. */
export const STATUS_URI = 'sandbox://status'
export const LOG_TEMPLATE = 'sandbox://logs/{dispatch_id}/{stream}'
export const EVIDENCE_TEMPLATE = 'sandbox://evidence/{dispatch_id}'
export const FILE_TEMPLATE = 'sandbox://files/{dispatch_id}/{number}'

export const logUri = (id: string, stream: 'stdout' | 'stderr'): string => `sandbox://logs/${id}/${stream}`
export const evidenceUri = (id: string): string => `sandbox://evidence/${id}`
export const fileUri = (id: string, number: number): string => `sandbox://files/${id}/${number}`

export type Address =
  | { kind: 'status' }
  | { kind: 'log'; id: string; stream: 'stdout' | 'stderr' }
  | { kind: 'evidence'; id: string }
  | { kind: 'file'; id: string; number: number }

const ADDRESS =
  /^sandbox:\/\/(?:(status)|logs\/([0-9a-f-]{36})\/(stdout|stderr)|evidence\/([0-9a-f-]{36})|files\/([0-9a-f-]{36})\/(\d{1,3}))$/

/** What a client asks for, or null. */
export function parseUri(uri: string): Address | null {
  const found = ADDRESS.exec(uri)
  if (found === null) return null
  const [, status, log, stream, evidence, file, number] = found
  if (status !== undefined) return { kind: 'status' }
  if (log !== undefined) return { kind: 'log', id: log, stream: stream === 'stderr' ? 'stderr' : 'stdout' }
  if (evidence !== undefined) return { kind: 'evidence', id: evidence }
  return { kind: 'file', id: file ?? '', number: Number(number) }
}
