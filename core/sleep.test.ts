import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { beforeEach, describe, expect, it } from 'vitest'
import type { App, AppOptions } from './app.ts'
import type { Paths } from './paths.ts'
import type { AppSnapshot } from './protocol/index.ts'
import { SANDBOX_DEADLINES } from './sandbox.ts'
import { ready, scriptedApp, temporaryPaths, until } from './testing/fixture.ts'

let app: App
let paths: Paths
let seen: AppSnapshot[]

async function begin(options: Partial<AppOptions> = {}): Promise<void> {
  paths = temporaryPaths()
  app = scriptedApp({ paths, ...options })
  seen = []
  await app.start()
  await ready(app)
  app.subscribe((snapshot) => seen.push(snapshot))
}

const call = (tool: string, params: Record<string, string | number> = {}) => ({
  command_id: randomUUID(),
  tool,
  params,
  deadline_ms: 60_000,
})
const resets = (): number => app.snapshot().resets.length
const helperPid = (): number => {
  const { pid } = JSON.parse(readFileSync(paths.helperIdentity, 'utf8')) as { pid: number }
  return pid
}

describe('a machine that slept', () => {
  beforeEach(() => begin())

  it('has another VM before anything is dispatched, and is not called ready until then', async () => {
    app.machineSleeps()
    expect(app.snapshot().state).toBe('resetting')
    const waiting = app.exec('tester', call('echo'))
    const woke = app.machineWoke()
    expect(app.snapshot()).toMatchObject({
      state: 'resetting',
      message: 'The machine woke up: checking the VM.',
    })
    await woke
    expect(resets()).toBe(1)
    expect(await waiting).toMatchObject({ exit_code: 0 })
    expect(resets()).toBe(2)
    await ready(app)
    expect(seen.map(({ state }) => state)).not.toContain('starting')
  })

  it('dispatches nothing while it sleeps', async () => {
    app.machineSleeps()
    const gone = new AbortController()
    const answering = app.exec('tester', call('echo'), { signal: gone.signal })
    await app.status()
    expect(app.snapshot().dispatches[0]).toMatchObject({ state: 'queued' })
    gone.abort()
    expect(await answering).toMatchObject({ error: { code: 'CANCELLED' } })
  })

  it('lets a dispatch end that was under way, and replaces the VM then', async () => {
    const running = app.exec('tester', call('slow', { ms: 300 }))
    await until(app, ({ state }) => state === 'dispatching')
    app.machineSleeps()
    expect(app.snapshot().state).toBe('resetting')
    await app.machineWoke()
    expect(await running).toMatchObject({ exit_code: 0, stdout: 'slept' })
    expect(resets()).toBe(2)
  })

  it('may sleep again while it wakes: the last wake counts', async () => {
    app.machineSleeps()
    const first = app.machineWoke()
    app.machineSleeps()
    await first
    expect(app.snapshot().state).toBe('resetting')
    await app.machineWoke()
    expect(app.snapshot().state).toBe('ready')
  })

  it('wakes also when no sleep was heard of', async () => {
    await app.machineWoke()
    expect(resets()).toBe(1)
  })

  it('stays degraded, or stopped, as it was', async () => {
    await app.down()
    app.machineSleeps()
    await app.machineWoke()
    expect(app.snapshot().state).toBe('stopped')
    expect(resets()).toBe(0)
    await app.up()
    await app.exec('tester', call('next-reset', { how: 'divergence' }))
    await until(app, ({ state }) => state === 'degraded')
    const before = resets()
    app.machineSleeps()
    await app.machineWoke()
    expect(app.snapshot().state).toBe('degraded')
    expect(resets()).toBe(before)
  })
})

it('a helper that does not answer after the sleep is replaced', async () => {
  await begin({ deadlines: { ...SANDBOX_DEADLINES, quickMs: 500 } })
  const before = helperPid()
  app.machineSleeps()
  process.kill(before, 'SIGSTOP')
  await app.machineWoke()
  await until(app, ({ state, helper_restarts }) => state === 'ready' && helper_restarts === 1)
  expect(app.snapshot().last_crash).toMatch(/did not answer after the machine slept/)
  expect(seen.filter(({ state, helper_restarts }) => state === 'ready' && helper_restarts === 0)).toEqual([])
  expect(helperPid()).not.toBe(before)
})

it('a helper that stands still while nothing runs, and nobody watches, is found and replaced', async () => {
  paths = temporaryPaths()
  const looks = { watched: 60_000, unwatched: 100 }
  app = scriptedApp({ paths, deadlines: { ...SANDBOX_DEADLINES, quickMs: 500 }, lookEveryMs: looks })
  await app.start()
  await ready(app)
  const before = helperPid()
  const replaced = new Promise<void>((resolve) =>
    app.subscribeQuietly(({ state, helper_restarts }) => {
      if (state === 'ready' && helper_restarts === 1) resolve()
    }),
  )
  process.kill(before, 'SIGSTOP')
  await replaced
  expect(app.snapshot().last_crash).toMatch(/stopped answering while nothing ran/)
  expect(helperPid()).not.toBe(before)
})
