import { fork, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium, type BrowserContext, type Page } from 'playwright-core'
import { buildElectron, buildHelper, buildLauncher, buildTrayImages, buildUi } from '../../build/bundle.ts'
import type { Control as CoreControl } from '../../client/index.ts'
import { controlOf } from '../support/app.ts'
import { until, within } from '../support/deadline.ts'
import { killOrphans } from '../support/helper.ts'
import { repository } from '../support/image.ts'
import type { Scratch } from '../support/scratch.ts'
import { CHROMIUM_ARGS, chromiumPath } from '../ui/browser.ts'
import type { Desk } from './flows.ts'
import type { Control } from './stand-in/control.ts'

const RUN = fileURLToPath(new URL('./stand-in/run.ts', import.meta.url))
const KEPT = 64 * 1024

export async function buildApp(): Promise<void> {
  await Promise.all([buildElectron(), buildTrayImages(), buildHelper(), buildLauncher(), buildUi()])
}

/** The Chromium in which the windows of the app are pages: the app and the test both hold on to it. */
export class Screen {
  readonly context: BrowserContext
  readonly endpoint: string

  readonly #profile: string

  private constructor(context: BrowserContext, endpoint: string, profile: string) {
    this.context = context
    this.endpoint = endpoint
    this.#profile = profile
  }

  static async open(): Promise<Screen> {
    const profile = mkdtempSync(join(tmpdir(), 'bsm-screen-'))
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: chromiumPath(),
      args: [...CHROMIUM_ARGS, '--remote-debugging-port=0'],
      viewport: null,
    })
    const port = await until(30_000, 'the port of Chromium', () => {
      try {
        return readFileSync(join(profile, 'DevToolsActivePort'), 'utf8').split('\n')[0]
      } catch {
        return undefined
      }
    })
    return new Screen(context, `http://127.0.0.1:${port}`, profile)
  }

  async close(): Promise<void> {
    await this.context.close()
    rmSync(this.#profile, { recursive: true, force: true })
  }
}

interface Options {
  readonly env?: Record<string, string>
  /** `Contents/Resources` of a packaged app, and where its archive lies. */
  readonly packaged?: { readonly resourcesPath: string; readonly appPath: string }
}

/** The built app in a process of its own, with a stand-in for the module `electron` and everything else real. */
export class StandInDesk implements Desk {
  readonly scratch: Scratch
  readonly child: ChildProcess
  readonly exited: Promise<number | null>
  readonly #screen: Screen
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
  #next = 1
  output = ''

  constructor(scratch: Scratch, screen: Screen, { env = {}, packaged }: Options = {}) {
    this.scratch = scratch
    this.#screen = screen
    this.child = fork(RUN, {
      execArgv: ['--import', 'tsx'],
      cwd: repository,
      env: {
        ...scratch.environment({ npm_node_execpath: process.execPath, ...env }),
        // What is left in the temporary directory shall be the app's.
        TSX_DISABLE_CACHE: '1',
        STAND_IN_CHROMIUM: screen.endpoint,
        STAND_IN_APP: packaged?.appPath ?? repository,
        ...(packaged === undefined ? {} : { STAND_IN_PACKAGED: packaged.resourcesPath }),
      },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    this.exited = new Promise((resolve) => this.child.once('close', (code) => resolve(code)))
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.on('data', (chunk: Buffer) => (this.output = (this.output + chunk.toString()).slice(-KEPT)))
    this.child.on('message', ({ id, value, error }: { id: number; value?: unknown; error?: string }) => {
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error === undefined) waiting?.resolve(value)
      else waiting?.reject(new Error(error))
    })
  }

  async call<K extends keyof Control>(
    name: K,
    ...args: Parameters<Control[K]>
  ): Promise<Awaited<ReturnType<Control[K]>>> {
    const id = this.#next++
    const answer = new Promise<unknown>((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
    this.child.send({ id, name, args }, (error) => {
      if (error !== null) this.#waiting.get(id)?.reject(error)
    })
    return (await within(30_000, `${name} of the stand-in:\n${this.output}`, answer)) as Awaited<
      ReturnType<Control[K]>
    >
  }

  control(): Promise<CoreControl> {
    return until(60_000, `the app's socket:\n${this.output}`, async () => {
      try {
        return await controlOf(this.scratch)
      } catch {
        // It is not there yet.
        return undefined
      }
    })
  }

  /** The page of a window, once its bridge is there. */
  async page(kind: 'popover' | 'settings'): Promise<Page> {
    return until(30_000, `the page of the ${kind}:\n${this.output}`, async () => {
      for (const page of this.#screen.context.pages())
        try {
          if ((await page.evaluate('globalThis.bsm?.window')) === kind) return page
        } catch {
          // It is on its way, or gone.
        }
      return undefined
    })
  }

  async visible(kind: 'popover' | 'settings'): Promise<boolean> {
    return (await this.call('windows')).some((window) => window.kind === kind && window.visible)
  }

  async open(): Promise<Page> {
    await this.call('activate')
    return this.page('popover')
  }

  /** Hides the popover, if it is shown, as its page does. */
  async hide(): Promise<void> {
    if (await this.visible('popover')) await (await this.page('popover')).evaluate('bsm.hide()')
    await until(30_000, 'a hidden popover', async () => !(await this.visible('popover')))
  }

  power(event: 'suspend' | 'resume' | 'lock-screen' | 'unlock-screen'): Promise<void> {
    return this.call('power', event)
  }

  crashRenderer(kind: 'popover' | 'settings'): Promise<void> {
    return this.call('crashRenderer', kind)
  }

  async quit(): Promise<number | null> {
    await this.call('quit').catch(() => undefined)
    return within(60_000, `the end of the app:\n${this.output}`, this.exited)
  }

  /** Ends it, and nothing of another app in the same scratch. */
  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    this.child.kill('SIGTERM')
    await within(45_000, 'the end of the app', this.exited).catch(() => this.child.kill('SIGKILL'))
    await this.exited
  }

  /** Ends it and everything of it, whatever state it is in. */
  async dispose(): Promise<void> {
    await this.end()
    await killOrphans(this.scratch)
  }
}
