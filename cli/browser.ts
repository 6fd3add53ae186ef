import { spawn } from 'node:child_process'

/** Whether a window could be opened here. */
export function hasDisplay(env: NodeJS.ProcessEnv, platform = process.platform): boolean {
  return platform === 'darwin' || Boolean(env.DISPLAY) || Boolean(env.WAYLAND_DISPLAY)
}

/** Hands the address to the desktop; resolves to false when the desktop has no way to open it. */
export function openBrowser(url: string, platform = process.platform): Promise<boolean> {
  return new Promise((resolve) => {
    const opener = spawn(platform === 'darwin' ? 'open' : 'xdg-open', [url], {
      stdio: 'ignore',
      detached: true,
    })
    opener.once('error', () => resolve(false))
    opener.once('spawn', () => {
      opener.unref()
      resolve(true)
    })
  })
}
