import { duplexPair } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { BsmError, ChannelStatus, FromGuest } from '../../../core/protocol/index.ts'
import { Channel } from './channel.ts'
import { encodeFrame } from './frames.ts'
import { type BridgeRecord, encodeClose, encodeData, encodeOpen, RECORD, RecordParser } from './records.ts'

/** The guest's end of a port, as the bridge in the guest would serve it. */
class FakeBridge {
  readonly dials: number[] = []
  readonly received: BridgeRecord[] = []
  answer = true

  constructor(readonly end: ReturnType<typeof duplexPair>[0]) {
    const parser = new RecordParser()
    end.on('data', (chunk: Buffer) => {
      for (const record of parser.push(chunk)) this.#take(record)
    })
  }

  get live(): number {
    return this.dials.at(-1) ?? 0
  }

  send(message: unknown, connId = this.live): void {
    this.end.write(encodeData(connId, encodeFrame(message)))
  }

  #take(record: BridgeRecord): void {
    this.received.push(record)
    if (record.kind !== RECORD.open) return
    this.dials.push(record.connId)
    if (this.answer) this.end.write(encodeOpen(record.connId))
  }
}

let bridge: FakeBridge
let channel: Channel
let messages: FromGuest[]
let closed: BsmError[]
let states: ChannelStatus['state'][]

beforeEach(() => {
  const [ours, theirs] = duplexPair()
  bridge = new FakeBridge(theirs)
  messages = []
  closed = []
  states = []
  channel = new Channel(1027, ours, {
    message: (message) => messages.push(message),
    closed: (error) => closed.push(error),
    changed: ({ state }) => states.push(state),
  })
})

afterEach(() => void vi.useRealTimers())

const settled = async () => {
  for (let i = 0; i < 5; i += 1) await new Promise((resolve) => setImmediate(resolve))
}
const ack = { type: 'WarmupAck' }

describe('a channel', () => {
  it('is open once the guest has answered with the same number', async () => {
    await channel.open(1000)
    expect(channel.status()).toMatchObject({ state: 'open', reconnects: 0 })
    expect(states).toEqual(['connecting', 'open'])
  })

  it('dials again with another number after silence', async () => {
    bridge.answer = false
    const opening = channel.open(15_000)
    await new Promise((resolve) => setTimeout(resolve, 150))
    bridge.answer = true
    await opening
    expect(bridge.dials.length).toBeGreaterThan(1)
    expect(new Set(bridge.dials).size).toBe(bridge.dials.length)
  })

  it('gives up in the end', async () => {
    bridge.answer = false
    await expect(channel.open(120)).rejects.toMatchObject({ code: 'GUEST_UNREACHABLE' })
    expect(channel.status().state).toBe('closed')
  })

  it('delivers what comes right behind the answer', async () => {
    // The answer comes when we send it: however long that takes, it is not silence.
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    bridge.answer = false
    const opening = channel.open(1000)
    await settled()
    bridge.end.write(Buffer.concat([encodeOpen(bridge.live), encodeData(bridge.live, encodeFrame(ack))]))
    await opening
    await settled()
    expect(messages).toEqual([ack])
  })

  it('ignores the late words of a dead connection', async () => {
    await channel.open(1000)
    const dead = bridge.live
    bridge.end.write(encodeData(dead, encodeFrame(ack).subarray(0, 3)))
    channel.close()
    await channel.open(1000)
    bridge.send(ack, dead)
    bridge.end.write(encodeClose(dead))
    bridge.send(ack)
    await settled()
    expect(messages).toEqual([ack])
    expect(channel.status()).toMatchObject({ state: 'open', reconnects: 1 })
  })

  it('tells when the guest closes it', async () => {
    await channel.open(1000)
    bridge.end.write(encodeClose(bridge.live))
    await settled()
    expect(closed.map(({ code }) => code)).toEqual(['GUEST_UNREACHABLE'])
    expect(channel.isOpen).toBe(false)
  })

  it('calls a frame that was cut off malformed', async () => {
    await channel.open(1000)
    bridge.end.write(encodeData(bridge.live, encodeFrame(ack).subarray(0, 6)))
    bridge.end.write(encodeClose(bridge.live))
    await settled()
    expect(closed.map(({ code }) => code)).toEqual(['FRAME_MALFORMED'])
    expect(messages).toEqual([])
  })

  it.each<[string, string, Buffer]>([
    ['of an unknown type', 'FRAME_MALFORMED', encodeFrame({ type: 'Fly' })],
    ['with a field too many', 'FRAME_MALFORMED', encodeFrame({ ...ack, extra: 1 })],
    ['with a key in another case', 'FRAME_MALFORMED', encodeFrame({ Type: 'WarmupAck' })],
    ['over 64 KiB', 'FRAME_TOO_LARGE', Buffer.from([0, 1, 0, 1])],
  ])('refuses a message %s, says so, and closes', async (_, code, frame) => {
    await channel.open(1000)
    bridge.end.write(encodeData(bridge.live, frame))
    await settled()
    expect(closed.map((error) => error.code)).toEqual([code])
    const [said, ended] = bridge.received.slice(-2)
    expect(said?.data.subarray(4).toString()).toContain(`"code":"${code}"`)
    expect(ended?.kind).toBe(RECORD.close)
  })

  it('takes no word of another port, well formed as it may be', async () => {
    await channel.open(1000)
    const query_id = '6f1c1f2e-7d0a-4b8f-9c3d-2a1b0c9d8e7f'
    const ts = '2026-01-01T00:00:00.000Z'
    bridge.send({
      type: 'GuestResponse',
      query_id,
      query_kind: 'OpenFdCount',
      result: { open_fd_count: 1 },
      ts,
    })
    await settled()
    expect(messages).toEqual([])
    expect(closed.map(({ code }) => code)).toEqual(['FRAME_MALFORMED'])
  })

  it('keeps what a guest says short', async () => {
    await channel.open(1000)
    bridge.send({ type: 'Error', code: 'x'.repeat(1000), message: 'y'.repeat(8000) })
    await settled()
    expect(channel.status().last_error).toHaveLength(2048)
  })

  it('is not to be opened again once the port carried what is no record', async () => {
    await channel.open(1000)
    bridge.end.write(Buffer.alloc(9, 255))
    await settled()
    expect(closed.map(({ code }) => code)).toEqual(['FRAME_MALFORMED'])
    await expect(channel.open(1000)).rejects.toMatchObject({ code: 'FRAME_MALFORMED' })
  })

  it('measures the round trip', async () => {
    await channel.open(1000)
    channel.ping()
    await settled()
    const ping = JSON.parse(bridge.received.at(-1)?.data.subarray(4).toString() ?? '') as { nonce: string }
    bridge.send({ type: 'Pong', nonce: 'not asked for' })
    await settled()
    expect(channel.status().rtt_ms).toBeNull()
    bridge.send({ type: 'Pong', nonce: ping.nonce })
    await settled()
    expect(channel.status().rtt_ms).toBeGreaterThan(0)
  })

  it('notices a Pong that is late, and that it came', async () => {
    await channel.open(1000)
    channel.ping()
    await settled()
    channel.noticeStall()
    expect(channel.status().state).toBe('open')
    const clock = vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 2_001)
    channel.noticeStall()
    clock.mockRestore()
    expect(channel.status().state).toBe('stalled')
    const ping = JSON.parse(bridge.received.at(-1)?.data.subarray(4).toString() ?? '') as { nonce: string }
    bridge.send({ type: 'Pong', nonce: ping.nonce })
    await settled()
    expect(channel.status().state).toBe('open')
  })

  it('counts frames and bytes each way', async () => {
    await channel.open(1000)
    channel.send({ type: 'Warmup' })
    bridge.send(ack)
    await settled()
    expect(channel.status()).toMatchObject({
      frames_out: 1,
      bytes_out: encodeFrame({ type: 'Warmup' }).length,
      frames_in: 1,
      bytes_in: encodeFrame(ack).length,
    })
  })

  it('sends nothing without a connection', () => {
    expect(() => channel.send({ type: 'Warmup' })).toThrow('not connected')
  })
})
