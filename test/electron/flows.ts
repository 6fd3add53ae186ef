import { randomUUID } from 'node:crypto'
import type { Page } from 'playwright-core'
import { expect } from 'vitest'
import type { Control } from '../../client/index.ts'
import type { AppSnapshot, UiMessage } from '../../core/protocol/index.ts'
import { whenApp } from '../support/app.ts'
import { until } from '../support/deadline.ts'

/** The running app, as the flows below use it: real Electron, or the stand-in for it. */
export interface Desk {
  /** Shows the popover, as a click on the app's icon in the Finder does. */
  open(): Promise<Page>
  page(kind: 'popover' | 'settings'): Promise<Page>
  visible(kind: 'popover' | 'settings'): Promise<boolean>
  power(event: 'suspend' | 'resume' | 'lock-screen' | 'unlock-screen'): Promise<void>
  crashRenderer(kind: 'popover' | 'settings'): Promise<void>
  control(): Promise<Control>
}

const MS = 60_000

/** The page says the state of the one state machine in its title. */
export const titled = (page: Page, word: string): Promise<true> =>
  until(MS, `a page titled ${word}`, async () => (await page.title()).startsWith(word) || undefined)

const isReady = ({ state }: AppSnapshot): boolean => state === 'ready'

/** Asks over the page's own bridge, from the page's own world. */
export function ask(page: Page, request: object): Promise<Extract<UiMessage, { type: 'reply' }>> {
  return page.evaluate((asked) => {
    type Bridge = { send(request: object): void; subscribe(listener: (text: string) => void): () => void }
    const { bsm } = globalThis as unknown as { bsm: Bridge }
    // Far from the numbers that the page itself counts up from.
    const id = 1_000_000 + Math.floor(Math.random() * 1_000_000)
    return new Promise((resolve) => {
      const stop = bsm.subscribe((text) => {
        const message = JSON.parse(text) as { type: string; id?: number }
        if (message.type !== 'reply' || message.id !== id) return
        stop()
        resolve(message as never)
      })
      bsm.send({ id, ...asked })
    })
  }, request)
}

/** What holds of the app in either: each is run against real Electron where its program is, and the stand-in here. */
export const FLOWS: Record<string, (desk: Desk) => Promise<void>> = {
  'the popover opens and shows the state': async (desk) => {
    const page = await desk.open()
    await titled(page, 'Ready')
    expect(await desk.visible('popover')).toBe(true)
  },

  'a tool runs from the popover, and its VM is wiped': async (desk) => {
    const page = await desk.open()
    await titled(page, 'Ready')
    const run = { action: 'run', command_id: randomUUID(), tool: 'uname', params: {}, deadline_ms: 60_000 }
    expect(await ask(page, run)).toMatchObject({
      ok: true,
      result: {
        exit_code: 0,
        stdout: expect.stringContaining('aarch64') as string,
        sandbox_reset_state: { verification_passed: true },
      },
    })
  },

  'Escape hides the popover': async (desk) => {
    const page = await desk.open()
    await titled(page, 'Ready')
    await page.keyboard.press('Escape')
    await until(MS, 'a hidden popover', async () => !(await desk.visible('popover')))
  },

  'the settings open from the popover, which hides': async (desk) => {
    const page = await desk.open()
    await page.evaluate('bsm.openSettings()')
    const settings = await desk.page('settings')
    await titled(settings, 'Ready')
    expect(await desk.visible('settings')).toBe(true)
    expect(await desk.visible('popover')).toBe(false)
    await settings.evaluate('bsm.hide()')
    await until(MS, 'closed settings', async () => !(await desk.visible('settings')))
  },

  'a sleeping machine is not called ready, and has another VM when it woke': async (desk) => {
    await using control = await desk.control()
    const { resets } = await whenApp(control, 'ready', isReady)
    await desk.power('suspend')
    await whenApp(control, 'asleep', ({ state, message }) => state === 'resetting' && /sleep/.test(message))
    expect(await desk.visible('popover')).toBe(false)
    await desk.power('resume')
    const woken = await whenApp(control, 'ready again', isReady)
    expect(woken.resets[0]).toMatchObject({ verification_passed: true })
    expect(woken.resets[0]?.reset_at).not.toBe(resets[0]?.reset_at)
  },

  'a locked screen hides the popover': async (desk) => {
    await desk.open()
    await desk.power('lock-screen')
    await until(MS, 'a hidden popover', async () => !(await desk.visible('popover')))
    await desk.power('unlock-screen')
    expect(await desk.visible('popover')).toBe(false)
  },

  'a page that crashed is there again': async (desk) => {
    const page = await desk.open()
    await titled(page, 'Ready')
    const gone = new Promise((resolve) => page.once('close', resolve))
    await desk.crashRenderer('popover')
    await gone
    const again = await desk.page('popover')
    await titled(again, 'Ready')
    await until(MS, 'a visible popover', () => desk.visible('popover'))
  },
}
