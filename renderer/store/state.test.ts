import { describe, expect, it } from 'vitest'
import type { Output } from '../bridge/index.ts'
import { degraded, ready, stopped } from '../fixtures/snapshots.ts'
import { INITIAL, reduce, type State } from './state.ts'

const pushed = (state: State, snapshot: State['snapshot'], outputs: Output[] = []) =>
  reduce(state, { type: 'pushed', snapshot, outputs })
const chunk = (commandId: string, seq: number, text: string): Output => ({
  type: 'output',
  command_id: commandId,
  stream: 'stdout',
  seq,
  data_b64: Buffer.from(text).toString('base64'),
})

describe('reduce', () => {
  it('shows the newest snapshot', () => {
    const state = pushed(pushed(INITIAL, ready), degraded)
    expect(state.snapshot?.state).toBe('degraded')
    expect(state.snapshot).toEqual(degraded)
  })
  it('keeps the identity of what did not change, so that it is not rendered again', () => {
    const before = pushed(INITIAL, ready)
    const after = pushed(before, structuredClone({ ...ready, queue_length: 3 }))
    expect(after.snapshot).not.toBe(before.snapshot)
    expect(after.snapshot?.resets).toBe(before.snapshot?.resets)
    expect(pushed(after, structuredClone(after.snapshot)).snapshot).toBe(after.snapshot)
  })
  it('remembers on what times were measured when the VM is gone', () =>
    expect(pushed(pushed(INITIAL, ready), stopped).machine).toEqual({ backend: 'qemu', accelerator: 'tcg' }))
  it('keeps the last snapshot when the connection is lost', () => {
    const state = reduce(pushed(INITIAL, ready), {
      type: 'connection',
      connection: { kind: 'reconnecting', attempt: 1 },
    })
    expect(state.snapshot).toEqual(ready)
    expect(state.connection.kind).toBe('reconnecting')
  })
  it('holds the output of the eight commands heard of last', () => {
    const first = pushed(INITIAL, null, [chunk('first', 1, 'a')])
    const many = Array.from({ length: 7 }, (_, i) => chunk(`c${i}`, 1, 'x'))
    const full = pushed(first, null, [...many, chunk('first', 2, 'b')])
    const over = pushed(full, null, [chunk('last', 1, 'x')])
    expect(Object.keys(over.outputs)).toHaveLength(8)
    expect(over.outputs['first']?.segments).toEqual([{ stream: 'stdout', text: 'ab' }])
    expect(over.outputs['c0']).toBeUndefined()
  })
  it('keeps a failed action until it is put away or tried again', () => {
    const error = { code: 'BUSY', message: 'no' } as const
    const asked = reduce(INITIAL, { type: 'asked', action: 'reset' })
    expect(asked.pending).toEqual(new Set(['reset']))
    const failed = reduce(asked, { type: 'answered', action: 'reset', error })
    expect(failed.pending.size).toBe(0)
    expect(failed.failure).toEqual({ action: 'reset', error })
    expect(reduce(failed, { type: 'failure_dismissed' }).failure).toBeNull()
    expect(reduce(failed, { type: 'asked', action: 'stop' }).failure).toBeNull()
  })
})
