import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { StandbyStatus } from '../../../core/protocol/index.ts'
import type { GuestVm } from '../vm/guest-vm.ts'
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

  describe('of which none is ready yet', () => {
    let ends: ((ok: boolean) => void)[]
    const slowly = (cores: number) =>
      new StandbyKeeper({
        prepare: async ({ started }) => {
          const vm = new NotedVm()
          vms.push(vm)
          await Promise.resolve()
          started(vm as unknown as GuestVm)
          await new Promise<void>((resolve, reject) =>
            ends.push((ok) => (ok ? resolve() : reject(new Error('no memory')))),
          )
          return { vm, readyAt: monotonic } as unknown as PreparedVm
        },
        changed: (status) => said.push(status),
        cores,
      })
    beforeEach(() => {
      ends = []
      keeper = slowly(2)
    })
    afterEach(() => ends.forEach((end) => end(true)))

    it('is promised as it is on its way, and the next is begun meanwhile', async () => {
      keeper.prepareSoon()
      const first = keeper.take()
      await vi.waitUntil(() => ends.length === 2)
      expect(keeper.status().state).toBe('preparing')
      ends[0]?.(true)
      expect((await first).vm).toBe(vms[0])
      expect(keeper.status().state).toBe('preparing')
      ends[1]?.(true)
      expect((await keeper.take()).vm).toBe(vms[1])
      expect(vms.slice(0, 2).map(({ killed }) => killed)).toEqual([false, false])
    })

    it('is not begun where there is one core', async () => {
      await keeper.close()
      keeper = slowly(1)
      const first = keeper.take()
      await vi.waitUntil(() => ends.length > 0)
      expect([vms.length, keeper.status().state]).toEqual([1, 'none'])
      ends[0]?.(true)
      expect((await first).vm).toBe(vms[0])
    })

    it('fails for who waits, not for the next', async () => {
      const first = keeper.take()
      await vi.waitUntil(() => ends.length === 2)
      ends[0]?.(false)
      await expect(first).rejects.toThrow('no memory')
      ends[1]?.(true)
      await vi.waitUntil(() => keeper.status().state === 'ready')
      expect((await keeper.take()).vm).toBe(vms[1])
    })

    it('is killed with the promised one when nothing is run any more, and at the end', async () => {
      void keeper.take().catch(() => undefined)
      await vi.waitUntil(() => ends.length === 2)
      keeper.discard('Nothing is run any more.')
      expect(vms.map(({ killed }) => killed)).toEqual([true, true])
      void keeper.take().catch(() => undefined)
      await vi.waitUntil(() => ends.length === 4)
      const closed = keeper.close()
      ends.forEach((end) => end(true))
      await closed
      expect(vms.map(({ killed }) => killed)).toEqual([true, true, true, true])
    })
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
