import { chunkHash, type EvidenceChunk } from '../protocol/index.ts'

/** The chunks in which an honest guest sends `datas`, and the evidence hash they lead to. */
export function evidenceChain(
  commandId: string,
  datas: readonly Buffer[],
): { chunks: EvidenceChunk[]; hash: string } {
  let hash: Buffer = Buffer.alloc(32)
  const chunks = datas.map((data, i): EvidenceChunk => {
    hash = chunkHash(commandId, i + 1, data, hash)
    return {
      type: 'EvidenceChunk',
      command_id: commandId,
      seq: i + 1,
      chunk_data: data.toString('base64'),
      chunk_size: data.length,
      is_terminal: i === datas.length - 1,
    }
  })
  return { chunks, hash: `sha256:${hash.toString('hex')}` }
}
