import { join } from 'node:path'
import { app, crashReporter } from 'electron'
import { ensurePaths, resolvePaths } from '../core/index.ts'
import { BsmError, EXIT, exitCodeFor } from '../core/protocol/index.ts'
import { confineWebContents } from './hardening.ts'
import { locateParts } from './parts.ts'
import { registerScheme } from './scheme.ts'
import { Shell, tell } from './shell.ts'

/** The main process: what Electron wants before it is ready, then the shell. */

app.enableSandbox()
registerScheme()
crashReporter.start({ uploadToServer: false })
// A menu-bar app goes on without windows.
app.on('window-all-closed', () => undefined)

let shell: Shell | null = null
confineWebContents(() => shell?.engine ?? null)
for (const surprise of ['uncaughtException', 'unhandledRejection'] as const)
  process.on(surprise, (thrown: unknown) => endOnSurprise(thrown))
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => app.quit())

try {
  begin()
} catch (error) {
  const known = BsmError.from(error, 'app')
  tell(known)
  app.exit(exitCodeFor(known.code))
}

function begin(): void {
  if (app.isPackaged) dropOverrides()
  const paths = resolvePaths()
  ensurePaths(paths)
  // Chromium's files lie apart from ours, and with them the lock of the single instance.
  app.setPath('userData', join(paths.stateDir, 'electron'))
  if (!app.requestSingleInstanceLock()) return app.quit()
  const own = new Shell({
    parts: locateParts({
      packaged: app.isPackaged,
      appPath: app.getAppPath(),
      resourcesPath: process.resourcesPath,
      platform: process.platform,
      node: process.env.npm_node_execpath,
    }),
    engine: { paths, people: process.stderr },
  })
  shell = own
  app.on('second-instance', () => own.show())
  app.on('activate', () => own.show())
  app.on('before-quit', (event) => {
    event.preventDefault()
    void own.end(EXIT.ok)
  })
  void app.whenReady().then(() => {
    if (process.platform === 'darwin') app.setActivationPolicy('accessory')
    app.setAboutPanelOptions({
      applicationName: 'Brainstorm Sandbox',
      applicationVersion: app.getVersion(),
      credits: 'Needs macOS 13 or newer, which Electron 45 asks for; its helper alone runs from macOS 11.',
    })
    return own.start()
  })
}

/** They serve development: in a packaged app whoever sets an environment would choose directories and programs. */
function dropOverrides(): void {
  for (const name of Object.keys(process.env))
    if (name.startsWith('BSM_')) Reflect.deleteProperty(process.env, name)
}

/** Going on could mean to dispatch on a state that nobody knows: it is logged, the VM is stopped, the app ends. */
function endOnSurprise(thrown: unknown): void {
  const known = BsmError.from(thrown, 'app')
  if (shell === null) {
    tell(known)
    return app.exit(EXIT.internalBug)
  }
  shell.engine.logger.fatal({ stack: thrown instanceof Error ? thrown.stack : undefined }, known.message)
  void shell.end(EXIT.internalBug)
}
