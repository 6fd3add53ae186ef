import type { Check } from '../check.ts'

/** Whether the guest answers on its four channels. */
export const channels: Check = {
  id: 'channels',
  title: 'channels',
  async run(machine) {
    const helper = (await machine.app())?.helper ?? null
    if (helper === null || helper.channels.length === 0) return null
    const stalled = helper.channels.filter(({ state }) => state === 'stalled')
    if (stalled.length === 0) {
      const open = helper.channels.filter(({ state }) => state === 'open').length
      return { status: 'ok', message: `${open} of ${helper.channels.length} open, none stalled` }
    }
    const errors = stalled.flatMap(({ port, last_error }) =>
      last_error === null ? [] : [`${port}: ${last_error}`],
    )
    return {
      status: 'warn',
      message: [`stalled: ${stalled.map(({ port }) => port).join(', ')}`, ...errors].join('; '),
      remedy: 'reset the VM (bsm reset); if it stalls again, look at the guest console',
    }
  },
}
