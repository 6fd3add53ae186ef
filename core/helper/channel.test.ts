import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { BsmError } from '../protocol/index.ts'
import { HelperChannel } from './channel.ts'

const DEADLINE_MS = 60_000

function channel() {
  const sent: string[] = []
  const output = new PassThrough()
  output.on('data', (chunk: Buffer) => sent.push(...chunk.toString().trim().split('\n')))
  const nobody = { onBootResult: () => undefined, onEvent: () => undefined, onOddity: () => undefined }
  return { channel: new HelperChannel(new PassThrough(), output, nobody), sent }
}

describe('a channel to a helper that owes many answers', () => {
  it('takes no more questions, and still everything that a wipe depends on', async () => {
    const { channel: full, sent } = channel()
    const asked = Array.from({ length: 64 }, () =>
      full.request<'query'>({ kind: 'query', query_kind: 'OpenFdCount' }, DEADLINE_MS),
    )
    await expect(
      full.request<'query'>({ kind: 'query', query_kind: 'OpenFdCount' }, DEADLINE_MS),
    ).rejects.toMatchObject({ code: 'BUSY' })
    asked.push(full.request<'reset'>({ kind: 'reset' }, DEADLINE_MS) as never)
    asked.push(full.request<'cancel'>({ kind: 'cancel', command_id: 'x' }, DEADLINE_MS) as never)
    asked.push(full.request<'shutdown'>({ kind: 'shutdown' }, DEADLINE_MS) as never)
    const ends = Promise.allSettled(asked)
    await new Promise((resolve) => setImmediate(resolve))
    const kinds = sent.map((line) => (JSON.parse(line) as { kind: string }).kind)
    expect(kinds.slice(64)).toEqual(['reset', 'cancel', 'shutdown'])
    full.close(BsmError.from(new Error('over'), 'helper'))
    await ends
  })
})
