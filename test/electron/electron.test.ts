import { _electron, type ElectronApplication, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { findDesktop, installedProgram } from '../../build/desktop.ts'
import type { Control } from '../../client/index.ts'
import { controlOf, standbyReady } from '../support/app.ts'
import { until } from '../support/deadline.ts'
import { killOrphans } from '../support/helper.ts'
import { freshImage, repository } from '../support/image.ts'
import { Scratch } from '../support/scratch.ts'
import { buildApp } from './desk.ts'
import { FLOWS, type Desk } from './flows.ts'

/**
 * The flows of the stand-in in real Electron, where its program lies already and can be shown: nothing is downloaded
 * for a test.
 */
const desktop = await findDesktop(
  {
    platform: process.platform,
    // A runner of CI may well have a display.
    env: { ...process.env, CI: undefined },
    root: process.getuid?.() === 0,
    args: [],
  },
  { fetch: async () => false },
)
const why =
  installedProgram() === null
    ? "Electron's program is not here"
    : desktop.kind === 'headless'
      ? desktop.why
      : ''
const program = desktop.kind === 'app' ? desktop.program : null
const MS = 60_000

class ElectronDesk implements Desk {
  readonly #app: ElectronApplication
  readonly #scratch: Scratch
  constructor(app: ElectronApplication, scratch: Scratch) {
    this.#app = app
    this.#scratch = scratch
  }

  async open(): Promise<Page> {
    await this.#app.evaluate(({ app }) => void app.emit('activate'))
    return this.page('popover')
  }

  page(kind: 'popover' | 'settings'): Promise<Page> {
    return until(MS, `the page of the ${kind}`, async () => {
      for (const page of this.#app.windows())
        if ((await page.evaluate('globalThis.bsm?.window').catch(() => null)) === kind) return page
      return undefined
    })
  }

  async visible(kind: 'popover' | 'settings'): Promise<boolean> {
    for (const page of this.#app.windows())
      if ((await page.evaluate('globalThis.bsm?.window').catch(() => null)) === kind)
        return (await this.#app.browserWindow(page)).evaluate((window) => window.isVisible())
    return false
  }

  async power(event: 'suspend' | 'resume' | 'lock-screen' | 'unlock-screen'): Promise<void> {
    await this.#app.evaluate(({ powerMonitor }, name) => void powerMonitor.emit(name), event)
  }

  async crashRenderer(kind: 'popover' | 'settings'): Promise<void> {
    const window = await this.#app.browserWindow(await this.page(kind))
    await window.evaluate((own) => own.webContents.forcefullyCrashRenderer())
  }

  control(): Promise<Control> {
    return until(MS, "the app's socket", async () => {
      try {
        return await controlOf(this.#scratch)
      } catch {
        // It is not there yet.
        return undefined
      }
    })
  }
}

describe.skipIf(program === null)(`in real Electron${why === '' ? '' : ` (skipped: ${why})`}`, () => {
  const scratch = new Scratch('electron')
  let app: ElectronApplication
  let desk: ElectronDesk

  beforeAll(async () => {
    await Promise.all([buildApp(), freshImage()])
    app = await _electron.launch({
      executablePath: program ?? '',
      args: [repository],
      env: scratch.environment({ npm_node_execpath: process.execPath }),
    })
    desk = new ElectronDesk(app, scratch)
    await using control = await desk.control()
    await standbyReady(control)
  })

  afterAll(async () => {
    await app?.close()
    await killOrphans(scratch)
    scratch.remove()
  })

  for (const [name, flow] of Object.entries(FLOWS)) it(name, () => flow(desk))
})
