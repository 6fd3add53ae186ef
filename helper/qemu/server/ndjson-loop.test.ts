import { randomUUID } from 'node:crypto'
import { PassThrough } from 'node:stream'
import { beforeEach, describe, expect, it } from 'vitest'
import type { HelperRequest, HelperResponse } from '../../../core/protocol/index.ts'
import { LineWriter } from './line-writer.ts'
import { NdjsonLoop } from './ndjson-loop.ts'

const settled = () => new Promise((resolve) => setImmediate(resolve))
const request = (kind: string, fields: object = {}) => ({ kind, request_id: randomUUID(), ...fields })

let input: PassThrough
let written: Record<string, unknown>[]
let events: string[]
let handled: HelperRequest[]
let finish: Map<string, () => void>
let stoppedEarly = false
let loop: NdjsonLoop

/** Answers status at once and everything else when the test says so. */
async function handle(asked: HelperRequest): Promise<HelperResponse> {
  handled.push(asked)
  if (asked.kind === 'shutdown') return { kind: 'shutdown_response', request_id: asked.request_id, ok: true }
  if (asked.kind !== 'status') await new Promise<void>((resolve) => finish.set(asked.request_id, resolve))
  return { kind: 'cancel_response', request_id: asked.request_id, command_id: randomUUID(), cancelled: false }
}

beforeEach(() => {
  input = new PassThrough()
  written = []
  events = []
  handled = []
  finish = new Map()
  stoppedEarly = false
  const out = new PassThrough()
  out.on('data', (chunk: Buffer) => {
    for (const line of chunk.toString().trimEnd().split('\n'))
      written.push(JSON.parse(line) as Record<string, unknown>)
  })
  loop = new NdjsonLoop({
    input,
    output: new LineWriter(out),
    emit: (event) => events.push(`${event.event}: ${event.message ?? ''}`),
    handle,
    stopEarly: () => {
      stoppedEarly = true
    },
  })
})

const send = async (...messages: (object | string)[]) => {
  for (const message of messages)
    input.write((typeof message === 'string' ? message : JSON.stringify(message)) + '\n')
  await settled()
}

describe('the NDJSON loop', () => {
  it('holds requests until the boot is over', async () => {
    const status = request('status')
    await send(status)
    expect(handled).toEqual([])
    loop.release()
    await settled()
    expect(written.map((line) => line['request_id'])).toEqual([status.request_id])
  })

  it('answers a status while an earlier request is under way', async () => {
    loop.release()
    const [slow, quick] = [request('reset'), request('status')]
    await send(slow, quick)
    expect(written.map((line) => line['request_id'])).toEqual([quick.request_id])
    finish.get(slow.request_id)?.()
    await settled()
    expect(written.map((line) => line['request_id'])).toEqual([quick.request_id, slow.request_id])
  })

  it.each([
    ['what is not JSON', 'garbage', 'The line is not JSON.'],
    ['JSON that is no object', '[1]', 'Not a request'],
    ['an unknown kind', '{"kind":"fly"}', 'Not a request'],
    ['JSON nested too deeply', '['.repeat(65) + ']'.repeat(65), 'deeper than 64 levels.'],
    ['JSON of too many values', `[${'1,'.repeat(100_001)}1]`, 'more than 100000 values.'],
  ])('reports %s and goes on', async (_, line, words) => {
    loop.release()
    await send(line, request('status'))
    expect(events).toHaveLength(1)
    expect(events[0]).toMatch(/^protocol_error: /)
    expect(events[0]).toContain(words)
    expect(written).toHaveLength(1)
  })

  it('answers what has an id and is no request', async () => {
    loop.release()
    const wrong = request('exec', { tool: 5 })
    await send(wrong)
    expect(written).toMatchObject([
      { kind: 'error_response', request_id: wrong.request_id, error: { code: 'BAD_REQUEST' } },
    ])
  })

  it('refuses a field that the contract does not know', async () => {
    loop.release()
    await send(request('status', { verbose: true }))
    expect(written).toMatchObject([{ kind: 'error_response' }])
    expect(handled).toEqual([])
  })

  it('refuses an id that is in use', async () => {
    loop.release()
    const slow = request('reset')
    await send(slow, slow)
    expect(handled).toHaveLength(1)
    expect(events).toHaveLength(1)
  })

  it('refuses a line over 24 MiB without holding it', async () => {
    loop.release()
    const mebibyte = 'x'.repeat(2 ** 20)
    for (let i = 0; i < 25; i += 1) input.write(mebibyte)
    await send('', request('status'))
    expect(events).toEqual(['protocol_error: A line is longer than 25165824 bytes.'])
    expect(written).toHaveLength(1)
  })

  it('is given up early by a shutdown that is held', async () => {
    await send(request('shutdown'))
    expect(stoppedEarly).toBe(true)
  })

  it('is given up early by the end of its input', async () => {
    input.end()
    await settled()
    expect(stoppedEarly).toBe(true)
    expect(await loop.over).toBe('eof')
  })

  it('is over once a shutdown was answered', async () => {
    loop.release()
    await send(request('shutdown'))
    expect(await loop.over).toBe('shutdown')
    expect(written).toMatchObject([{ kind: 'shutdown_response', ok: true }])
  })
})
