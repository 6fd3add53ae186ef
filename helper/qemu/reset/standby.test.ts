import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { StandbyStatus } from '../../../core/protocol/index.ts'
import type { PreparedVm } from './prepare.ts'
import { StandbyKeeper } from './standby.ts'

/** What the keeper does to a prepared VM, noted. */
class NotedVm {
  killed = false
  paused = false
  readonly qemu = { unnice: () => undefined }
  pause = async () => {
    this.paused = true
    await Promise.resolve()
  }
  kill = async () => {
    this.killed = true
    await Promise.resolve()
  }
  listen = () => undefined
}

const MINUTE = 60_000

describe('the standby', () => {
  let wall = 0
  let monotonic = 0
  let vms: NotedVm[]
  let failing: boolean
  let said: StandbyStatus[]
  let keeper: StandbyKeeper

  beforeEach(() => {
    vi.useFakeTimers()
    wall = 1_000_000
    monotonic = 5_000
    vms = []
    failing = false
    said = []
    keeper = new StandbyKeeper({
      prepare: async () => {
        if (failing) throw new Error('no memory')
        const vm = new NotedVm()
        vms.push(vm)
        return await Promise.resolve({ vm, readyAt: monotonic } as unknown as PreparedVm)
      },
      changed: (status) => said.push(status),
      clocks: { wall: () => wall, monotonic: () => monotonic },
    })
  })
  afterEach(async () => {
    await keeper.close()
    vi.useRealTimers()
  })

  const pass = (ms: number, asleep = 0) => {
    wall += ms + asleep
    monotonic += ms
  }
  const ready = async () => {
    keeper.prepareSoon()
    await vi.waitUntil(() => keeper.status().state === 'ready')
  }

  it('is handed over as it was prepared, paused', async () => {
    await ready()
    pass(9 * MINUTE)
    expect((await keeper.take()).vm).toBe(vms[0])
    expect(vms.map(({ paused, killed }) => ({ paused, killed }))).toEqual([{ paused: true, killed: false }])
  })

  it('is not handed over when the host slept: another one is', async () => {
    await ready()
    pass(1_000, 3_000)
    expect((await keeper.take()).vm).toBe(vms[1])
    expect(vms[0]?.killed).toBe(true)
    expect(said.map(({ message }) => message)).toContain('The host slept: the standby was discarded.')
  })

  it('is replaced by itself when the host slept, also when nobody takes one', async () => {
    await ready()
    pass(5_000, 60 * MINUTE)
    await vi.advanceTimersByTimeAsync(5_000)
    expect(vms.map(({ killed }) => killed)).toEqual([true, false])
    expect(keeper.status().state).toBe('ready')
  })

  it('is not handed over when it is older than 10 minutes', async () => {
    await ready()
    pass(10 * MINUTE + 1)
    expect((await keeper.take()).vm).toBe(vms[1])
    expect(vms[0]?.killed).toBe(true)
  })

  it('that was made while the host slept is not handed over either', async () => {
    keeper.prepareSoon()
    pass(0, 3_000)
    expect((await keeper.take()).vm).toBe(vms[1])
    expect(vms[0]?.killed).toBe(true)
  })

  it('is tried again after a failure, each time twice as late, up to a minute', async () => {
    failing = true
    const tries = () => said.filter(({ state }) => state === 'preparing').length
    keeper.prepareSoon()
    for (const [after, seconds] of [1, 2, 4, 8, 16, 32, 60, 60].entries()) {
      await vi.advanceTimersByTimeAsync(seconds * 1_000 - 1)
      expect(tries()).toBe(after + 1)
      await vi.advanceTimersByTimeAsync(1)
      expect(tries()).toBe(after + 2)
    }
    expect(keeper.status()).toMatchObject({ state: 'failed', message: 'no memory' })
  })
})
