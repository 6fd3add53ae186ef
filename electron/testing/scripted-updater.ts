import { EventEmitter } from 'node:events'

/** electron-updater in the little of its shape that we use: it cannot be loaded without Electron's program. */
export class ScriptedUpdater extends EventEmitter {
  autoDownload = true
  autoInstallOnAppQuit = true
  allowPrerelease = true
  allowDowngrade = true
  logger: unknown = console
  readonly calls: unknown[] = []

  setFeedURL(feed: unknown): void {
    this.calls.push(feed)
  }

  checkForUpdates(): Promise<{ updateInfo: { version: string } }> {
    return Promise.resolve({ updateInfo: { version: '2.0.0' } })
  }

  downloadUpdate(): Promise<string[]> {
    this.emit('download-progress', { percent: 40 })
    return Promise.resolve(['/cache/update.zip'])
  }

  quitAndInstall(...args: unknown[]): void {
    this.calls.push(['quitAndInstall', ...args])
  }
}

export const scripted = new ScriptedUpdater()
