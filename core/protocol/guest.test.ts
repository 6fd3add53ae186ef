import { describe, expect, it } from 'vitest'
import { BsmError, clip } from './errors.ts'
import { type FromGuest, FROM_GUEST, GuestResponse } from './guest.ts'
import { ExecRequest } from './helper.ts'
import { LIMITS } from './limits.ts'

const ID = '6f1c1f2e-7d0a-4b8f-9c3d-2a1b0c9d8e7f'
const pong = { type: 'Pong', nonce: '1-1' }
const error = { type: 'Error', code: 'BAD_REQUEST', message: 'no' }
const takes = (port: keyof typeof FROM_GUEST, message: object) => FROM_GUEST[port].safeParse(message).success

describe('a guest message', () => {
  it.each<[FromGuest['type'], keyof typeof FROM_GUEST, object]>([
    ['KillAck', 1027, { type: 'KillAck', command_id: ID, killed: true }],
    ['FreezeAck', 1027, { type: 'FreezeAck' }],
    [
      'EvidenceChunk',
      1025,
      {
        type: 'EvidenceChunk',
        command_id: ID,
        seq: 1,
        chunk_data: 'AQ==',
        chunk_size: 1,
        is_terminal: false,
      },
    ],
  ])('%s is known on its own port alone', (_, port, message) => {
    for (const other of [1024, 1025, 1026, 1027] as const) expect(takes(other, message)).toBe(other === port)
  })

  it.each([1024, 1025, 1026, 1027] as const)('Pong and Error are known on port %i', (port) => {
    expect([takes(port, pong), takes(port, error)]).toEqual([true, true])
  })

  it.each([
    [{ ...pong, nonce: 'x'.repeat(LIMITS.guestTextChars + 1) }],
    [{ ...error, code: 'x'.repeat(LIMITS.guestTextChars + 1) }],
    [{ ...error, message: 'x'.repeat(8 * LIMITS.guestTextChars + 1) }],
  ])('has bounded texts', (message) => {
    expect(takes(1027, message)).toBe(false)
  })

  it('names processes in bounded texts', () => {
    const named = (name: string) => ({
      ...{ type: 'GuestResponse', query_id: ID, query_kind: 'ProcessList', ts: '2026-01-01T00:00:00.000Z' },
      result: { processes: [{ name, pid: 1 }] },
    })
    expect(GuestResponse.safeParse(named('init')).success).toBe(true)
    expect(GuestResponse.safeParse(named('x'.repeat(LIMITS.guestTextChars + 1))).success).toBe(false)
  })
})

describe('params of a dispatch', () => {
  const exec = (text: string) => ({
    ...{ kind: 'exec', request_id: ID, command_id: ID, tool: 'echo', params: { text }, deadline_ms: 1000 },
  })

  it('may have 1 MiB of JSON and no more', () => {
    const room = LIMITS.paramsBytes - '{"text":""}'.length
    expect(ExecRequest.safeParse(exec('x'.repeat(room))).success).toBe(true)
    const refused = ExecRequest.safeParse(exec('x'.repeat(room + 1)))
    expect(refused.error?.issues[0]?.message).toContain('1 MiB')
  })
})

describe('an error on the wire', () => {
  it('has short texts, whatever a guest said', () => {
    const wire = new BsmError('INTERNAL_BUG', 'guest', 'm'.repeat(9999), { cause: 'd'.repeat(9999) }).toWire()
    expect([wire.message.length, wire.details?.length]).toEqual([2048, 2048])
    expect(wire.message.endsWith('m…')).toBe(true)
  })

  it('is cut between characters', () => {
    expect(clip('ab😀cd', 4)).toBe('ab…')
    expect(clip('ab😀', 4)).toBe('ab😀')
  })
})
