import { autoUpdater } from 'electron-updater'
import type { UpdateFeed } from '../core/index.ts'

/**
 * electron-updater as a feed. It does nothing by itself: what is newer, and when it may be installed, is decided by
 * `Updates` in core. It checks digest and signature of what it fetches, and Squirrel once more that the new app
 * satisfies the designated requirement of this one.
 */
export function updateFeed(url: string): UpdateFeed {
  autoUpdater.autoDownload = false
  // An update goes in when a person asks for it, after the VM was stopped; never on the way out of an ordinary quit.
  autoUpdater.autoInstallOnAppQuit = false
  autoUpdater.allowPrerelease = false
  autoUpdater.allowDowngrade = false
  autoUpdater.logger = null
  autoUpdater.setFeedURL({ provider: 'generic', url })
  // Without a listener Node ends the process; what failed is rejected to whoever asked.
  autoUpdater.on('error', () => undefined)
  return {
    latest: async () => {
      const result = await autoUpdater.checkForUpdates()
      if (result === null) throw new Error('this app cannot update itself')
      return result.updateInfo.version
    },
    download: async (onProgress) => {
      const listen = ({ percent }: { percent: number }): void => onProgress(percent)
      autoUpdater.on('download-progress', listen)
      try {
        await autoUpdater.downloadUpdate()
      } finally {
        autoUpdater.off('download-progress', listen)
      }
    },
    install: () => autoUpdater.quitAndInstall(false, true),
  }
}
