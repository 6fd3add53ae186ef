/**
 * The bridge's records: `u32be conn_id ‖ u8 kind ‖ u32be length ‖ bytes` on every virtserialport (§3).
 * A plain byte stream would glue a dead connection's tail to the next one.
 */

export const RECORD = { open: 1, data: 2, close: 3 } as const
export type RecordKind = (typeof RECORD)[keyof typeof RECORD]
export const RECORD_DATA_BYTES = 65_536
const HEADER_BYTES = 9

export type BridgeRecord = { connId: number; kind: RecordKind; data: Buffer }

export class RecordError extends Error {
  override readonly name = 'RecordError'
}

const NOTHING = Buffer.alloc(0)

function header(connId: number, kind: RecordKind, length: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES)
  bytes.writeUInt32BE(connId, 0)
  bytes.writeUInt8(kind, 4)
  bytes.writeUInt32BE(length, 5)
  return bytes
}

export const encodeOpen = (connId: number): Buffer => header(connId, RECORD.open, 0)
export const encodeClose = (connId: number): Buffer => header(connId, RECORD.close, 0)

/** DATA records of at most 64 KiB each. */
export function encodeData(connId: number, bytes: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length; at += RECORD_DATA_BYTES) {
    const data = bytes.subarray(at, at + RECORD_DATA_BYTES)
    parts.push(header(connId, RECORD.data, data.length), data)
  }
  return Buffer.concat(parts)
}

/** Splits what a port delivers into records, however the bytes are cut. */
export class RecordParser {
  #held: Buffer = NOTHING

  /** Throws a {@link RecordError} where the bytes are no record: the port cannot be trusted any more. */
  push(chunk: Buffer): BridgeRecord[] {
    let bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    const records: BridgeRecord[] = []
    while (bytes.length >= HEADER_BYTES) {
      const length = bytes.readUInt32BE(5)
      const kind = kindOf(bytes.readUInt8(4), length)
      if (bytes.length < HEADER_BYTES + length) break
      records.push({
        connId: bytes.readUInt32BE(0),
        kind,
        data: bytes.subarray(HEADER_BYTES, HEADER_BYTES + length),
      })
      bytes = bytes.subarray(HEADER_BYTES + length)
    }
    // At most one record is ever held: kindOf has refused anything longer.
    this.#held = bytes
    return records
  }
}

function kindOf(kind: number, length: number): RecordKind {
  if (kind === RECORD.data && length <= RECORD_DATA_BYTES) return kind
  if ((kind === RECORD.open || kind === RECORD.close) && length === 0) return kind
  throw new RecordError(`no bridge record: kind ${kind} with ${length} bytes`)
}
