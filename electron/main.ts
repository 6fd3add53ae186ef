import { join } from 'node:path'
import { app, crashReporter } from 'electron'
import { dropOverrides, ensurePaths, loadDistribution, resolvePaths } from '../core/index.ts'
import { BsmError, EXIT, exitCodeFor } from '../core/protocol/index.ts'
import { confineWebContents } from './hardening.ts'
import { locateParts } from './parts.ts'
import { registerScheme } from './scheme.ts'
import { SELF_CHECK, selfCheck } from './self-check.ts'
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
// The terminal that it was started from was closed: there is nobody to tell, and the app goes on.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => app.quit())

try {
  begin()
} catch (error) {
  const known = BsmError.from(error, 'app')
  tell(known)
  app.exit(exitCodeFor(known.code))
}

function begin(): void {
  if (app.isPackaged) dropOverrides(process.env)
  const distribution = app.isPackaged ? loadDistribution(app.getAppPath()) : null
  const parts = locateParts({
    packaged: app.isPackaged,
    appPath: app.getAppPath(),
    resourcesPath: process.resourcesPath,
    platform: process.platform,
    env: process.env,
  })
  if (process.argv.includes(SELF_CHECK)) {
    const write = (line: string): void => void process.stdout.write(line)
    void selfCheck(app.getVersion(), parts, distribution, write).then((ok) =>
      app.exit(ok ? EXIT.ok : EXIT.bootConfigInvalid),
    )
    return
  }
  const paths = resolvePaths()
  ensurePaths(paths)
  // Chromium's files lie apart from ours, and with them the lock of the single instance.
  app.setPath('userData', join(paths.stateDir, 'electron'))
  if (!app.requestSingleInstanceLock()) return app.quit()
  const own = new Shell({
    parts,
    distribution,
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
