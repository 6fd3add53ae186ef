import { describe, expect, it } from 'vitest'
import type { Output } from '../bridge/index.ts'
import { ready, stopped } from '../fixtures/snapshots.ts'
import { Inbox } from './inbox.ts'
import type { Change } from './state.ts'

const output = (seq: number, size = 4): Output => ({
  type: 'output',
  command_id: 'c',
  stream: 'stdout',
  seq,
  data_b64: 'A'.repeat(size),
})

function inboxWithFrames() {
  const changes: Change[] = []
  const frames: (() => void)[] = []
  const inbox = new Inbox(
    (change) => changes.push(change),
    (then) => frames.push(then),
  )
  return { inbox, changes, frames }
}

describe('Inbox', () => {
  it('makes one change of everything that comes within a frame', () => {
    const { inbox, changes, frames } = inboxWithFrames()
    inbox.take({ type: 'snapshot', snapshot: ready })
    inbox.take(output(2))
    inbox.take({ type: 'snapshot', snapshot: stopped })
    inbox.take(output(3))
    expect(changes).toEqual([])
    expect(frames).toHaveLength(1)
    frames[0]?.()
    expect(changes).toEqual([{ type: 'pushed', snapshot: stopped, outputs: [output(2), output(3)] }])
  })
  it('tells at once that the connection changed', () => {
    const { inbox, changes } = inboxWithFrames()
    inbox.take({ type: 'connection', connection: { kind: 'open' } })
    expect(changes).toEqual([{ type: 'connection', connection: { kind: 'open' } }])
  })
  it('hands nothing on while nobody sees the page, and the newest when somebody does', () => {
    const changes: Change[] = []
    const frames: (() => void)[] = []
    let seen = false
    const inbox = new Inbox(
      (change) => changes.push(change),
      (then) => frames.push(then),
      () => seen,
    )
    inbox.take({ type: 'snapshot', snapshot: ready })
    inbox.take({ type: 'log_grew', source: 'app' })
    inbox.take({ type: 'snapshot', snapshot: stopped })
    expect([frames.length, changes.length]).toEqual([0, 0])
    seen = true
    inbox.seen()
    expect(frames).toHaveLength(1)
    frames[0]?.()
    expect(changes).toEqual([{ type: 'pushed', snapshot: stopped, outputs: [] }])
  })
  it('holds a bounded amount while the page is hidden, the newest of it', () => {
    const { inbox, changes, frames } = inboxWithFrames()
    for (let seq = 1; seq <= 100; seq += 1) inbox.take(output(seq, 64 * 1024))
    frames[0]?.()
    const change = changes[0]
    const outputs = change?.type === 'pushed' ? change.outputs : []
    expect(outputs.length).toBeLessThanOrEqual(8)
    expect(outputs.at(-1)?.seq).toBe(100)
  })
})
