import { readFileSync } from 'node:fs'
import type { BrowserContext, CDPSession, Page, Route } from 'playwright-core'

/** Chromium cannot load a scheme of ours: `bsm://app/…` is asked for as `https://app.bsm.invalid/…`, and back. */
const HOST = '.bsm.invalid'
export const toHttps = (url: string): string => url.replace(/^bsm:\/\/([^/]*)/, `https://$1${HOST}`)
export const toOwn = (url: string): string =>
  url.replace(/^https:\/\/([^/]*)\.bsm\.invalid(?=\/|$)/, 'bsm://$1')

const WORLD = 'preload'
/** As text: the functions in it are for Chromium, not for us. */
const SCRIPT = readFileSync(new URL('preload-world.js', import.meta.url), 'utf8').replaceAll(
  'export function',
  'function',
)
const script = (call: string): string => `(() => {${SCRIPT}\n${call}})()`

type FromPreload =
  | { kind: 'send'; channel: string; args: unknown[] }
  | { kind: 'invoke'; id: number; channel: string; args: unknown[] }

interface PageEvents {
  readonly onIpc: (message: FromPreload) => void
  readonly onCrash: () => void
  readonly onRequest: (route: Route) => Promise<void>
}

/** A real page of Chromium, with the preload script in an isolated world of its own. */
export class RealPage {
  readonly page: Page
  readonly #cdp: CDPSession
  #preloadContext: number | null = null
  #shown = false

  private constructor(page: Page, cdp: CDPSession) {
    this.page = page
    this.#cdp = cdp
  }

  static async open(
    context: BrowserContext,
    preload: string,
    argv: readonly string[],
    events: PageEvents,
  ): Promise<RealPage> {
    const page = await context.newPage()
    const cdp = await context.newCDPSession(page)
    const real = new RealPage(page, cdp)
    cdp.on('Runtime.executionContextCreated', ({ context: made }) => {
      const { frameId } = made.auxData as { frameId?: string }
      if (made.name !== WORLD || frameId !== real.#frameId) return
      real.#preloadContext = made.id
      void real.show(real.#shown)
    })
    cdp.on('Runtime.bindingCalled', ({ name, payload }) => {
      if (name === 'standInIpc') events.onIpc(JSON.parse(payload) as FromPreload)
    })
    page.on('crash', () => events.onCrash())
    await page.route('**/*', (route) => events.onRequest(route))
    const { frameTree } = await cdp.send('Page.getFrameTree')
    real.#frameId = frameTree.frame.id
    await cdp.send('Page.enable')
    await cdp.send('Runtime.enable')
    await cdp.send('Runtime.addBinding', { name: 'standInIpc', executionContextName: WORLD })
    const wrapped = `function (require, module, exports, process) {${readFileSync(preload, 'utf8')}\n}`
    await cdp.send('Page.addScriptToEvaluateOnNewDocument', {
      source: script(`standInPreload(${wrapped}, ${JSON.stringify(argv)})`),
      worldName: WORLD,
    })
    await cdp.send('Page.addScriptToEvaluateOnNewDocument', { source: script('standInPage()') })
    return real
  }

  #frameId = ''

  async deliver(channel: string, args: readonly unknown[]): Promise<void> {
    await this.#inPreload(`standInDeliver(${JSON.stringify(channel)}, ${JSON.stringify(args)})`)
  }

  async answer(id: number, answer: object): Promise<void> {
    await this.#inPreload(`standInAnswer(${id}, ${JSON.stringify(answer)})`)
  }

  /** Its window is shown, or hidden: a new document of it is told so too. */
  async show(shown: boolean): Promise<void> {
    this.#shown = shown
    await this.#inPreload(`standInShown(${shown})`)
  }

  async crash(): Promise<void> {
    await this.#cdp.send('Page.crash').catch(() => undefined)
  }

  async #inPreload(expression: string): Promise<void> {
    if (this.#preloadContext === null) return
    // A page that is going away takes no messages, as in Electron.
    await this.#cdp
      .send('Runtime.evaluate', { expression, contextId: this.#preloadContext })
      .catch(() => undefined)
  }
}
