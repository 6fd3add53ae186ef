import { describe, expect, it } from 'vitest'
import type { ChannelStatus } from '../../../core/protocol/index.ts'
import { ChannelTotals } from './channel-totals.ts'

const channel = (part: Partial<ChannelStatus> = {}): ChannelStatus => ({
  port: 1024,
  state: 'open',
  rtt_ms: 2,
  bytes_in: 10,
  bytes_out: 20,
  frames_in: 1,
  frames_out: 2,
  reconnects: 0,
  last_error: null,
  ...part,
})

describe('channel totals', () => {
  it('are the channel itself while no VM was retired', () => {
    expect(new ChannelTotals().with(channel())).toEqual(channel())
  })

  it('grow by every VM that was retired, port by port', () => {
    const totals = new ChannelTotals()
    totals.add(channel({ reconnects: 1 }))
    totals.add(channel())
    totals.add(channel({ port: 1025, bytes_in: 7 }))
    expect(totals.with(channel({ rtt_ms: 5 }))).toEqual(
      channel({ rtt_ms: 5, bytes_in: 30, bytes_out: 60, frames_in: 3, frames_out: 6, reconnects: 1 }),
    )
    expect(totals.with(channel({ port: 1025 })).bytes_in).toBe(17)
  })

  it('keep the last error until there is another', () => {
    const totals = new ChannelTotals()
    totals.add(channel({ last_error: 'first' }))
    totals.add(channel())
    expect(totals.with(channel()).last_error).toBe('first')
    expect(totals.with(channel({ last_error: 'second' })).last_error).toBe('second')
  })
})
