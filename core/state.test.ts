import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { systemClock } from './clock.ts'
import { BsmError, type Degraded, type DispatchRecord } from './protocol/index.ts'
import { standing, StateStore, type Circumstances } from './state.ts'

const CALM: Circumstances = {
  ending: false,
  degraded: null,
  problem: null,
  rising: false,
  supervisor: { kind: 'stopped' },
  sleep: 'awake',
  activity: { kind: 'idle' },
}
const BOOT = {
  kind: 'boot_result',
  ok: true,
  vmm_api_state: 'running',
  boot_path: 'cold_boot',
  ts: '',
} as const
const READY = { kind: 'ready', boot: BOOT, pid: 1 } as const
const ERROR = new BsmError('VM_LIFECYCLE_ERROR', 'helper', 'It ended.')
const DEGRADED = { message: 'A source disagreed.' } as Degraded

describe('the one state', () => {
  it.each<[Partial<Circumstances>, string, string]>([
    [{}, 'stopped', 'The VM is not running.'],
    [{ rising: true }, 'starting', 'Starting the VM.'],
    [{ problem: ERROR }, 'failed', 'It ended.'],
    [{ supervisor: { kind: 'starting' } }, 'starting', 'Starting the VM.'],
    [
      { supervisor: { kind: 'restarting', why: ERROR, inMs: 1 } },
      'starting',
      'It ended. Starting a new one.',
    ],
    [{ supervisor: { kind: 'stopping' } }, 'stopping', 'Stopping the VM.'],
    [{ supervisor: { kind: 'failed', error: ERROR } }, 'failed', 'It ended.'],
    [{ supervisor: READY }, 'ready', 'Ready for a dispatch.'],
    [
      { supervisor: READY, activity: { kind: 'dispatching', tool: 'sh', client: 'me' } },
      'dispatching',
      'Running sh for me.',
    ],
    [{ supervisor: READY, activity: { kind: 'resetting', why: 'Wiping.' } }, 'resetting', 'Wiping.'],
    [
      { supervisor: READY, sleep: 'asleep', activity: { kind: 'dispatching', tool: 'sh', client: 'me' } },
      'resetting',
      'The machine goes to sleep; the VM is replaced when it wakes.',
    ],
    [{ supervisor: READY, sleep: 'probing' }, 'resetting', 'The machine woke up: checking the VM.'],
    [{ supervisor: READY, sleep: 'renewing' }, 'resetting', 'The machine woke up: replacing the VM.'],
    [
      { supervisor: READY, sleep: 'renewing', activity: { kind: 'dispatching', tool: 'sh', client: 'me' } },
      'dispatching',
      'Running sh for me.',
    ],
    [{ supervisor: { kind: 'starting' }, sleep: 'asleep' }, 'starting', 'Starting the VM.'],
    [{ supervisor: READY, degraded: DEGRADED }, 'degraded', 'Dispatches are refused: A source disagreed.'],
    [
      { supervisor: { kind: 'failed', error: ERROR }, degraded: DEGRADED },
      'degraded',
      'Dispatches are refused: A source disagreed.',
    ],
    [{ ending: true, degraded: DEGRADED }, 'stopping', 'Stopping.'],
  ])('of %j is %s', (circumstances, state, message) => {
    expect(standing({ ...CALM, ...circumstances })).toMatchObject({ state, message })
  })
})

describe('the snapshot', () => {
  const store = (): StateStore => new StateStore('1', systemClock)
  const record = (command_id: string) => ({ command_id, state: 'queued' }) as DispatchRecord

  it('cannot be changed by whoever holds it', () => {
    const states = store()
    states.recordDispatch(record('a'))
    expect(() => states.snapshot.dispatches.push(record('b'))).toThrow(TypeError)
    expect(() => Object.assign(states.snapshot, { state: 'ready' })).toThrow(TypeError)
  })

  it('keeps the 50 newest of each list', () => {
    const states = store()
    for (let n = 1; n <= 60; n += 1) states.recordDispatch(record(String(n)))
    expect(states.snapshot.dispatches).toHaveLength(50)
    expect(states.snapshot.dispatches[0]?.command_id).toBe('60')
  })

  it('says since when the state holds, whatever else changes', () => {
    let now = 0
    const states = new StateStore('1', { now: () => new Date(now), monotonic: () => now })
    now = 1_000
    states.update({ state: 'starting' })
    now = 2_000
    states.update({ state: 'starting', queue_length: 1 })
    expect(states.snapshot.since).toBe(new Date(1_000).toISOString())
  })

  it('reaches subscribers coalesced, the last one always', async () => {
    const states = store()
    const heard: number[] = []
    const unsubscribe = states.subscribe(({ queue_length }) => heard.push(queue_length))
    for (let n = 1; n <= 1_000; n += 1) states.update({ queue_length: n })
    await sleep(200)
    expect(heard.length).toBeLessThanOrEqual(2)
    expect(heard.at(-1)).toBe(1_000)
    unsubscribe()
    states.update({ queue_length: 0 })
    await sleep(100)
    expect(heard.at(-1)).toBe(1_000)
  })
})
