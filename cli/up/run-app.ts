import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { createApp, loadImage, locateHelper, resolvePaths, serveUi, type App } from '../../core/index.ts'
import type { Settings } from '../../core/protocol/index.ts'
import { removeRedirects } from '../browser.ts'
import type { Cli } from '../cli.ts'
import { EXIT_CODE } from '../exit-codes.ts'
import { InterruptedError, onInterrupt } from '../interrupt.ts'
import { projectRoot, version } from '../project-root.ts'
import { isDetached } from './detach.ts'
import { locateImage, type ImagePlace } from './locate-image.ts'
import { Progress } from './progress.ts'
import type { Ready } from './ready.ts'
import { endOnSurprise } from './surprise.ts'

export type UpOptions = {
  ui: boolean
  port?: number
  image?: string
  cpus?: number
  memoryMib?: number
  helper?: string
  keep?: true
}

/**
 * Runs the app in this process until a person or `bsm down` ends it. `onReady` is called once, when it can be used;
 * throws when it cannot, unless told to keep the page.
 */
export async function runApp(cli: Cli, options: UpOptions, onReady: (ready: Ready) => void): Promise<number> {
  const paths = resolvePaths(cli.io.env)
  const place = locateImage(options.image, projectRoot)
  const inBackground = isDetached(cli.io.env)
  using progress = new Progress((line) => cli.note(line))
  // Until it is ready, progress tells more, and an error is told whole; both go to the log file anyway.
  let ready = false
  const app = createApp({
    version: version(),
    paths,
    imageDir: place.imageDir,
    settings: settingsOf(options, place),
    helper: locateHelper(options.helper, projectRoot, {
      platform: process.platform,
      env: cli.io.env,
      node: process.execPath,
    }),
    projectRoot,
    people: { write: (text) => ready && !inBackground && cli.io.stderr.write(text) },
    autoStart: false,
  })
  let ours: string[] = []
  using interrupted = stopOnInterrupt(cli, app, () => ours)
  using _ending = endOnSurprise(app, cli.io.stderr)
  try {
    progress.step(`opening ${paths.stateDir}`)
    await app.start()
    ours = [paths.agentSocket, paths.controlSocket, paths.controlToken, paths.lock]
    if (options.ui)
      await serveUi(app, { directory: join(projectRoot, 'dist', 'ui'), port: options.port ?? 0 })
    await bootVm(app, progress, options.keep ?? false)
    if (interrupted.happened) throw new InterruptedError()
    const snapshot = await app.status()
    const coldBootReason = snapshot.helper?.cold_boot_reason
    if (coldBootReason !== undefined) progress.coldBoot(coldBootReason)
    progress[Symbol.dispose]()
    onReady({ url: options.ui ? app.openUi() : null, agent_socket: paths.agentSocket, snapshot })
    ready = true
    await app.whenStopped
    return EXIT_CODE.ok
  } catch (error) {
    throw interrupted.happened ? new InterruptedError() : error
  } finally {
    await app.stop()
    if (ours.length > 0) removeRedirects(paths.stateDir)
  }
}

/** The first interrupt stops in order; the second leaves the rest to the helper, which ends with us. */
function stopOnInterrupt(
  cli: Cli,
  app: App,
  ours: () => readonly string[],
): Disposable & { readonly happened: boolean } {
  let happened = false
  const listening = onInterrupt((count) => {
    happened = true
    if (count > 1) leaveAtOnce(ours())
    cli.note('stopping; once more to leave at once')
    void app.stop()
  })
  return {
    get happened() {
      return happened
    },
    [Symbol.dispose]: () => listening[Symbol.dispose](),
  }
}

/** Takes away only what this app made: before it had the state directory, these are another app's. */
function leaveAtOnce(ours: readonly string[]): never {
  for (const path of ours) rmSync(path, { force: true })
  process.exit(EXIT_CODE.interrupted)
}

/** A degraded app stays up without being told to: a person must be able to look, and to recover. */
async function bootVm(app: App, progress: Progress, keep: boolean): Promise<void> {
  const unsubscribe = app.subscribe((snapshot) => progress.snapshot(snapshot))
  try {
    await app.up()
  } catch (error) {
    if (!keep && app.snapshot().degraded === null) throw error
  } finally {
    unsubscribe()
  }
}

/** What was asked for on the command line. */
function settingsOf({ cpus, memoryMib }: UpOptions, { imageDir, recipe }: ImagePlace): Partial<Settings> {
  if (recipe !== undefined) loadImage(imageDir, recipe)
  return {
    ...(cpus === undefined ? {} : { cpus }),
    ...(memoryMib === undefined ? {} : { memory_mib: memoryMib }),
    ...(recipe === undefined ? {} : { image: recipe }),
  }
}
