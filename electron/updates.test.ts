import { expect, it, vi } from 'vitest'
import { Updates } from '../core/index.ts'
import { scripted } from './testing/scripted-updater.ts'
import { updateFeed } from './updates.ts'

vi.mock('electron-updater', async () => ({
  autoUpdater: (await import('./testing/scripted-updater.ts')).scripted,
}))

it('electron-updater does nothing by itself, goes to no older version, and installs after the VM was stopped', async () => {
  const feed = updateFeed('https://updates.example/mac')
  expect(scripted).toMatchObject({
    autoDownload: false,
    autoInstallOnAppQuit: false,
    allowPrerelease: false,
    allowDowngrade: false,
  })
  const stopApp = () => {
    scripted.calls.push('VM stopped')
    return Promise.resolve()
  }
  const states: unknown[] = []
  const updates = new Updates({ current: '1.0.0', feed, stopApp, onState: (state) => states.push(state) })
  await updates.check()
  await updates.download()
  await updates.install()
  expect(states).toContainEqual({ kind: 'downloading', version: '2.0.0', percent: 40 })
  expect(scripted.calls).toEqual([
    { provider: 'generic', url: 'https://updates.example/mac' },
    'VM stopped',
    ['quitAndInstall', false, true],
  ])
  // What goes wrong later has a listener, so that it cannot end the process.
  expect(() => scripted.emit('error', new Error('late'))).not.toThrow()
})
