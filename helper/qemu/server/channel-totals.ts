import type { ChannelStatus, Port } from '../../../core/protocol/index.ts'

const COUNTERS = ['bytes_in', 'bytes_out', 'frames_in', 'frames_out', 'reconnects'] as const
type Totals = Pick<ChannelStatus, (typeof COUNTERS)[number] | 'last_error'>

/**
 * What the channels carried since the helper started: a VM lives for one dispatch, and its own counters alone would
 * always tell of a VM that has done nothing yet.
 */
export class ChannelTotals {
  readonly #totals = new Map<Port, Totals>()

  /** Adds a channel of a VM that is being retired; once for each VM. */
  add(channel: ChannelStatus): void {
    this.#totals.set(channel.port, this.with(channel))
  }

  /** A live VM's channel with everything that came before it; an earlier error stays until there is another. */
  with(channel: ChannelStatus): ChannelStatus {
    const before = this.#totals.get(channel.port)
    if (before === undefined) return channel
    const sum = { ...channel, last_error: channel.last_error ?? before.last_error }
    for (const counter of COUNTERS) sum[counter] += before[counter]
    return sum
  }
}
