import { describe, expect, it } from 'vitest'
import { isNewer, Updates, type UpdateFeed, type UpdateState } from './updates.ts'

function updates(
  options: {
    latest?: () => Promise<string>
    stopApp?: () => Promise<void>
    download?: UpdateFeed['download']
  } = {},
) {
  const log: string[] = []
  const states: UpdateState[] = []
  const feed: UpdateFeed = {
    latest: options.latest ?? (() => Promise.resolve('1.3.0')),
    download:
      options.download ??
      ((onProgress) => {
        log.push('download')
        onProgress(50)
        return Promise.resolve()
      }),
    install: () => log.push('install'),
  }
  const stopApp = async () => {
    log.push('stopping')
    await options.stopApp?.()
    log.push('stopped')
  }
  const made = new Updates({ current: '1.2.3', feed, stopApp, onState: (s) => states.push(s), checkMs: 20 })
  return { updates: made, log, states, kinds: () => states.map(({ kind }) => kind) }
}

describe('updates', () => {
  it('are off without a feed, whatever is asked', async () => {
    const off = new Updates({
      current: '1.0.0',
      feed: null,
      stopApp: () => Promise.reject(new Error('asked')),
    })
    for (const ask of [() => off.check(), () => off.download(), () => off.install()])
      expect(await ask()).toEqual({ kind: 'off' })
  })

  it('are fetched and installed when a person asks, the VM stopped before', async () => {
    const { updates: made, log, kinds } = updates()
    expect(await made.check()).toEqual({ kind: 'available', version: '1.3.0' })
    expect(log).toEqual([])
    await made.download()
    await made.install()
    expect(log).toEqual(['download', 'stopping', 'stopped', 'install'])
    expect(kinds()).toEqual(['checking', 'available', 'downloading', 'downloading', 'ready', 'installing'])
  })

  it('are not installed when the VM cannot be stopped', async () => {
    const { updates: made, log } = updates({ stopApp: () => Promise.reject(new Error('it hangs')) })
    await made.check()
    await made.download()
    expect(await made.install()).toMatchObject({ kind: 'failed' })
    expect(log).toEqual(['download', 'stopping'])
  })

  it.each(['1.2.3', '1.2.2', '0.9.0', '1.2.3-beta.1', 'latest', ''])(
    'never go to %j from 1.2.3',
    async (version) => {
      const { updates: made, log } = updates({ latest: () => Promise.resolve(version) })
      expect(await made.check()).toEqual({ kind: 'current' })
      await made.download()
      await made.install()
      expect(log).toEqual([])
    },
  )

  it('say that a feed is silent, broken, or cut a download short, and can be asked again', async () => {
    const silent = updates({ latest: () => new Promise(() => undefined) })
    expect(await silent.updates.check()).toMatchObject({ kind: 'failed', error: { layer: 'app' } })
    let calls = 0
    const flaky = updates({
      latest: () => (calls++ === 0 ? Promise.reject(new Error('503')) : Promise.resolve('2.0.0')),
      download: () => Promise.reject(new Error('sha512 mismatch')),
    })
    expect(await flaky.updates.check()).toMatchObject({ kind: 'failed' })
    expect(await flaky.updates.check()).toMatchObject({ kind: 'available' })
    expect(await flaky.updates.download()).toMatchObject({ kind: 'failed' })
    expect(await flaky.updates.install()).toMatchObject({ kind: 'failed' })
    expect(flaky.log).toEqual([])
  })

  it('are not asked for twice at a time', async () => {
    let asked = 0
    const { updates: made } = updates({
      latest: () => {
        asked += 1
        return Promise.resolve('1.3.0')
      },
    })
    await Promise.all([made.check(), made.check()])
    expect(asked).toBe(1)
  })
})

it('a version is newer by SemVer, not by spelling', () => {
  expect(isNewer('1.10.0', '1.9.0')).toBe(true)
  expect(isNewer('1.9.0', '1.10.0')).toBe(false)
  expect(isNewer('2.0.0', '2.0.0-rc.1')).toBe(true)
})
