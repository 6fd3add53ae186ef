import type { Browser, Locator } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { buildUi } from '../../build/bundle.ts'
import { clients } from '../../renderer/fixtures/answers.ts'
import { RUNNING_ID } from '../../renderer/fixtures/dispatches.ts'
import { every } from '../../renderer/fixtures/snapshots.ts'
import { launchBrowser } from './browser.ts'
import { FixturePage, usualAnswers } from './fixture-page.ts'
import { SIZES, type Size } from './scenes.ts'

/** What is done without a mouse. That everything is reached, in which order and how it is seen: `scenes.test.ts`. */
let browser: Browser
let shown: FixturePage
beforeAll(async () => {
  await buildUi()
  browser = await launchBrowser()
})
afterAll(() => browser?.close())
afterEach(() => shown.context.close())

type Options = Parameters<typeof FixturePage.open>[2] & { size?: Size }
async function open(state: keyof typeof every, { size = 'popover', ...options }: Options = {}) {
  shown = await FixturePage.open(browser, every[state], { viewport: SIZES[size], ...options })
  await shown.page.getByRole('tablist', { name: 'Views' }).waitFor()
}

const MOST = 60
const CONTROL = ':is(button:enabled, input, select, summary, [tabindex="0"]):not([tabindex="-1"])'
const hasFocus = async (at: Locator) => (await at.and(shown.page.locator(':focus')).count()) === 1
const press = (...keys: string[]) =>
  keys.reduce((before, key) => before.then(() => shown.page.keyboard.press(key)), Promise.resolve())

/** Presses Tab until `target` has the focus. */
async function tabTo(target: Locator, most = MOST): Promise<void> {
  await target.waitFor()
  for (let i = 0; i <= most; i += 1) {
    if (await hasFocus(target)) return
    await press('Tab')
  }
  throw new Error(`Tab does not come to ${target}`)
}
const tab = (name: string) => shown.page.getByRole('tab', { name })
const chosenTab = () => shown.page.getByRole('tab', { selected: true })
/** From wherever the focus is. */
async function choose(view: string): Promise<void> {
  await tabTo(chosenTab())
  await press('Home')
  while (!(await hasFocus(tab(view)))) await press('ArrowRight')
  await press('Enter')
}
const button = (name: string | RegExp) => shown.page.getByRole('button', { name })
const asked = (action: string) => shown.requests.filter((request) => request.action === action)

describe('views', () => {
  it.each([
    ['popover', ['Overview', 'Run', 'Dispatches', 'Resets', 'Logs', 'Diagnostics', 'Settings']],
    ['page', ['Sandbox', 'Logs', 'Diagnostics', 'Settings']],
  ] as const)('of the %s are chosen with arrow keys, and Tab goes on into each', async (size, views) => {
    await open('ready', { size })
    await tabTo(tab(views[0]))
    for (const [i, view] of views.entries()) {
      if (i > 0) {
        await tabTo(chosenTab())
        await press('ArrowRight', 'Enter')
      }
      const panel = shown.page.getByRole('tabpanel', { name: view })
      await panel.waitFor()
      expect(await chosenTab().innerText()).toBe(view)
      // Where it is wide, the sandbox's two actions stand between.
      await tabTo(panel.locator(CONTROL).filter({ visible: true }).first(), 3)
    }
  })

  it("have a window of their own for settings in the app's popover", async () => {
    await open('ready', { window: 'popover' })
    await choose('Settings')
    await expect.poll(() => shown.page.evaluate('window.asked')).toEqual(['openSettings'])
    expect(await chosenTab().innerText()).toBe('Overview')
  })

  it('are turned round at both ends', async () => {
    await open('ready')
    await tabTo(tab('Overview'))
    await press('ArrowLeft')
    expect(await hasFocus(tab('Settings'))).toBe(true)
    await press('ArrowRight')
    expect(await hasFocus(tab('Overview'))).toBe(true)
  })
})

describe('the sandbox', () => {
  it('is stopped, and a running tool cancelled', async () => {
    await open('dispatching')
    await tabTo(button('Stop'))
    await press('Enter')
    await expect.poll(() => asked('stop')).toHaveLength(1)
    await choose('Dispatches')
    await tabTo(button('Cancel sh of claude-code'))
    await press(' ')
    await expect.poll(() => asked('cancel')).toMatchObject([{ command_id: RUNNING_ID }])
  })

  it('runs a tool, and takes the focus to what is wrong in its form', async () => {
    await open('ready')
    await choose('Run')
    const tool = shown.page.getByLabel('Tool', { exact: true })
    await tabTo(tool)
    await press('c')
    await tabTo(button('Run'))
    await press('Enter')
    const path = shown.page.getByLabel('path', { exact: true })
    await expect.poll(() => hasFocus(path)).toBe(true)
    await shown.page.keyboard.type('/etc/hostname')
    await press('Enter')
    await expect.poll(() => asked('run')).toMatchObject([{ tool: 'cat', params: { path: '/etc/hostname' } }])
  })

  it('opens a dispatch, and closes it', async () => {
    await open('ready')
    await choose('Dispatches')
    const first = button(/^uname claude-code/)
    await tabTo(first)
    await press('Enter')
    const output = shown.page.getByLabel('Output of uname')
    await output.waitFor()
    await press('Tab')
    expect(await hasFocus(output)).toBe(true)
    await press('Shift+Tab', 'Enter')
    await output.waitFor({ state: 'detached' })
    expect(await hasFocus(first)).toBe(true)
  })

  it('looks at one reset after another', async () => {
    await open('ready')
    await choose('Resets')
    const chart = shown.page.getByRole('slider', { name: 'Reset to look at' })
    await tabTo(chart)
    expect(await chart.getAttribute('aria-valuenow')).toBe('50')
    await press('ArrowLeft')
    expect(await chart.getAttribute('aria-valuenow')).toBe('49')
    await press('Home')
    expect(await chart.getAttribute('aria-valuetext')).toContain('Cold boot')
  })

  it('is recovered after a divergence', async () => {
    await open('degraded')
    await tabTo(button('Recover').first())
    await press('Enter')
    await expect.poll(() => hasFocus(shown.page.getByLabel('Reason'))).toBe(true)
    await shown.page.keyboard.type('the disk was replaced')
    await press('Enter')
    await expect.poll(() => asked('recover')).toMatchObject([{ reason: 'the disk was replaced' }])
  })
})

describe('logs', () => {
  it('are chosen with arrow keys, searched, and let go', async () => {
    await open('ready')
    await choose('Logs')
    await tabTo(button('App & helper'))
    await press('ArrowRight', 'Enter')
    await shown.page.getByRole('log', { name: 'Guest console' }).waitFor()
    await press('Tab')
    await shown.page.keyboard.type('init')
    await shown.page.getByText('1 of 6 lines').waitFor()
    const follow = shown.page.getByRole('switch', { name: 'Follow' })
    await tabTo(follow)
    await press(' ')
    expect(await follow.getAttribute('aria-checked')).toBe('false')
  })
})

describe('settings', () => {
  it('are changed, and only what was changed is sent', async () => {
    await open('ready')
    await choose('Settings')
    await tabTo(shown.page.getByRole('textbox', { name: 'Memory', exact: true }))
    await press('ArrowUp', 'Enter')
    await expect
      .poll(() => shown.requests.filter((one) => one.action === 'settings' && one.set !== undefined))
      .toMatchObject([{ set: { memory_mib: 640 } }])
  })

  const dialog = () => shown.page.getByRole('alertdialog')

  it('ask twice in a dialog that holds the focus and gives it back', async () => {
    await open('ready')
    await choose('Settings')
    const revoke = button('Revoke codex')
    await tabTo(revoke)
    await press('Enter')
    await dialog().waitFor()
    const [keep, really] = [button('Keep'), dialog().getByRole('button', { name: 'Revoke' })]
    await expect.poll(() => hasFocus(keep)).toBe(true)
    await press('Tab')
    expect(await hasFocus(really)).toBe(true)
    await press('Tab')
    await expect.poll(() => hasFocus(keep)).toBe(true)
    await press('Shift+Tab')
    await expect.poll(() => hasFocus(really)).toBe(true)
    await press('Escape')
    await dialog().waitFor({ state: 'detached' })
    expect(asked('clients')).toMatchObject([{ what: { do: 'list' } }])
    await expect.poll(() => hasFocus(revoke)).toBe(true)
  })

  it('keep their place when the agent under the focus is gone', async () => {
    let known = clients.clients
    await open('ready', {
      answer: (request) => {
        if (request.action !== 'clients') return usualAnswers(request)
        const { what } = request
        if (what.do === 'revoke') known = known.filter(({ name }) => name !== what.name)
        return { result: { clients: known } }
      },
    })
    await choose('Settings')
    await tabTo(button('Revoke codex'))
    await press('Enter')
    await dialog().waitFor()
    await tabTo(dialog().getByRole('button', { name: 'Revoke' }))
    await press('Enter')
    await button('Revoke codex').waitFor({ state: 'detached' })
    await expect.poll(() => hasFocus(shown.page.getByLabel('New agent'))).toBe(true)
  })

  it('keep their place when a new token is put away', async () => {
    await open('ready')
    await choose('Settings')
    const name = shown.page.getByLabel('New agent')
    await tabTo(name)
    await shown.page.keyboard.type('my-agent')
    await press('Enter')
    await tabTo(button('I have it'))
    await press('Enter')
    await expect.poll(() => hasFocus(name)).toBe(true)
  })
})
