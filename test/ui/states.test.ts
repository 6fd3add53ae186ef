import type { Browser } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { buildUi } from '../../build/bundle.ts'
import { HOSTILE, RUNNING_ID } from '../../renderer/fixtures/dispatches.ts'
import { TOKEN, illness, logs, noLogs } from '../../renderer/fixtures/answers.ts'
import { every } from '../../renderer/fixtures/snapshots.ts'
import { complaintsOf, launchBrowser } from './browser.ts'
import { failing, FixturePage, silent, usualAnswers } from './fixture-page.ts'
import { SIZES } from './scenes.ts'

/** Every state of the page in a real browser; a VM takes minutes to be brought to some of them. */
const REFUSED = {
  code: 'INTERNAL_BUG' as const,
  layer: 'app' as const,
  message: 'It could not be read.',
  next_step: 'Try `again`.',
}

let browser: Browser
let shown: FixturePage
let complaints: string[]
beforeAll(async () => {
  await buildUi()
  browser = await launchBrowser()
})
afterAll(() => browser?.close())
afterEach(async () => {
  await shown.context.close()
  expect(complaints).toEqual([])
})

type State = keyof typeof every
async function open(state: State, options: Parameters<typeof FixturePage.open>[2] = {}) {
  shown = await FixturePage.open(browser, every[state], { viewport: SIZES.popover, ...options })
  complaints = complaintsOf(shown.page)
  await shown.page.getByRole('tablist', { name: 'Views' }).waitFor()
  return shown.page
}
const goTo = (view: string) => shown.page.getByRole('tab', { name: view }).click()
const panel = (name: string) => shown.page.getByRole('region', { name })
describe('every state of the sandbox', () => {
  it('explains itself at the first run, and runs a first tool', async () => {
    const page = await open('firstRun')
    await page.getByRole('heading', { name: 'A computer for your agents, clean every time' }).waitFor()
    await page.getByRole('button', { name: 'Run a first tool' }).click()
    await panel('Run a tool').waitFor()
    expect(shown.requests.map(({ action }) => action)).toContain('run')
  })

  it('is taken over by a divergence, which offers two things and leaves the logs in reach', async () => {
    const page = await open('degraded')
    await page.getByRole('heading', { name: 'The wipe did not check out' }).waitFor()
    expect(await panel('Run a tool').count()).toBe(0)
    await page.getByText('differs', { exact: true }).waitFor()
    await page.getByRole('button', { name: 'Recover' }).first().click()
    await page.getByLabel('Reason').fill('the disk was replaced')
    await page.keyboard.press('Enter')
    await expect
      .poll(() => shown.requests.find(({ action }) => action === 'recover'))
      .toMatchObject({ reason: 'the disk was replaced' })
    await goTo('Logs')
    await page.getByRole('log').waitFor()
  })

  it('shows a stalled channel as stalled, with what it said last', async () => {
    const page = await open('dispatching')
    await page.getByText('1026 · stalled').waitFor()
    await page.getByText('no Pong for 5 s').waitFor()
  })

  it('says who asked, and lets a person cancel', async () => {
    const page = await open('dispatching')
    await goTo('Dispatches')
    await page.getByRole('button', { name: 'Cancel sh of claude-code' }).click()
    await expect
      .poll(() => shown.requests.find(({ action }) => action === 'cancel'))
      .toMatchObject({ command_id: RUNNING_ID })
  })

  it('draws the target that a person set', async () => {
    const page = await open('ready')
    shown.show({ ...every.ready, reset_target_ms: { fast_snapshot: 30, cold_boot: 5_000 } })
    await goTo('Resets')
    await page.getByText('Under the target of 30 ms.').waitFor()
    await page.locator('.chart-target').getByText('target 30 ms').waitFor()
  })

  it('says that it is cut off, and keeps what was known', async () => {
    const page = await open('ready')
    await shown.loseConnection()
    await page.getByText('The connection to the app is lost.').waitFor()
    await page.getByText('Wiped and verified').waitFor()
  })
})

describe('logs', () => {
  it('show hostile text as text, find words and copy what is shown', async () => {
    const page = await open('ready')
    await shown.context.grantPermissions(['clipboard-read', 'clipboard-write'])
    await goTo('Logs')
    await page.getByRole('button', { name: 'Guest console' }).click()
    const log = page.getByRole('log', { name: 'Guest console' })
    await log.getByText('<img src=x').waitFor()
    expect(await log.innerText()).not.toMatch(/[\u0000-\u0008\u001b\u202e\u200b]/)
    expect(await page.locator('img').count()).toBe(0)
    await page.getByLabel('Search this log').fill('tests')
    await page.getByText('1 of 6 lines').waitFor()
    expect(await log.locator('mark').innerText()).toBe('tests')
    await page.getByRole('button', { name: 'Copy these lines' }).click()
    const copied = await page.evaluate<string>('navigator.clipboard.readText()')
    expect(copied).toContain('all tests passed')
    expect(copied).not.toContain(HOSTILE.slice(0, 4))
    await page.getByLabel('Search this log').fill('nowhere')
    await page.getByText('No line matches').waitFor()
  })

  it('follow what is written, and stop when nobody follows', async () => {
    const more = {
      ...logs.app,
      start: null,
      lines: [{ at: null, level: 'info' as const, from: 'app', text: 'a new line' }],
    }
    let grown = false
    const page = await open('ready', {
      answer: (request) =>
        request.action === 'logs' && request.after !== undefined && grown
          ? { result: more }
          : usualAnswers(request),
    })
    await goTo('Logs')
    await expect
      .poll(() => shown.requests.filter(({ action }) => action === 'follow_log'))
      .toMatchObject([{ source: 'app' }])
    grown = true
    shown.send({ type: 'log_grew', source: 'app' })
    await page.getByText('a new line').waitFor()
    await page.getByRole('switch', { name: 'Follow' }).click()
    await expect
      .poll(() => shown.requests.filter(({ action }) => action === 'follow_log'))
      .toMatchObject([{ source: 'app' }, { source: null }])
  })

  it('have something to say while they load, are empty, or cannot be read', async () => {
    const page = await open('ready', { answer: silent('logs') })
    await goTo('Logs')
    await page.getByText('Reading the log.').waitFor()
    await shown.context.close()
    await open('ready', {
      answer: (request) =>
        request.action === 'logs' ? { result: noLogs(request.source) } : usualAnswers(request),
    })
    await goTo('Logs')
    await shown.page.getByText('Nothing written yet').waitFor()
    await shown.context.close()
    await open('ready', { answer: failing('logs', REFUSED) })
    await goTo('Logs')
    await shown.page.getByText('It could not be read.').waitFor()
    await shown.page.getByRole('button', { name: 'Try again' }).waitFor()
  })
})

describe('settings', () => {
  it('show a new token once, and revoke only when told twice', async () => {
    const page = await open('ready')
    await goTo('Settings')
    const agents = panel('Agent access')
    await agents.getByRole('button', { name: 'Give access' }).click()
    await agents.getByText('Give it a name.').waitFor()
    await agents.getByLabel('New agent').fill('my-agent')
    await agents.getByRole('button', { name: 'Give access' }).click()
    await agents.getByText(TOKEN).waitFor()
    await agents.getByRole('button', { name: 'I have it' }).click()
    expect(await page.getByText(TOKEN).count()).toBe(0)
    await agents.getByRole('button', { name: 'Revoke codex' }).click()
    const dialog = page.getByRole('alertdialog')
    await dialog.getByRole('button', { name: 'Keep' }).click()
    await dialog.waitFor({ state: 'detached' })
    expect(shown.requests.filter((r) => r.action === 'clients' && r.what.do === 'revoke')).toEqual([])
    await agents.getByRole('button', { name: 'Revoke codex' }).click()
    await dialog.getByRole('button', { name: 'Revoke' }).click()
    await expect
      .poll(() => shown.requests.filter((r) => r.action === 'clients' && r.what.do === 'revoke'))
      .toMatchObject([{ what: { name: 'codex' } }])
  })

  it('say why they cannot be read', async () => {
    const page = await open('ready', { answer: failing('settings', REFUSED) })
    await goTo('Settings')
    await panel('Virtual machine').getByText('It could not be read.').waitFor()
    await page.getByRole('button', { name: 'Try again' }).waitFor()
  })
})

describe('diagnostics', () => {
  it('name what is wrong first, with what mends it', async () => {
    const page = await open('ready', {
      answer: (request) => (request.action === 'diagnose' ? { result: illness } : usualAnswers(request)),
    })
    await goTo('Diagnostics')
    await page.getByText('1 of 11 checks failed').waitFor()
    expect(await page.locator('.check').first().innerText()).toContain('npm run guest')
  })

  it('save a bundle as a file', async () => {
    const zip = { name: 'bsm-diagnostics.zip', data_b64: 'UEs=', files: [{ name: 'checks.json', bytes: 7 }] }
    const page = await open('ready', {
      answer: (request) => (request.action === 'bundle' ? { result: zip } : usualAnswers(request)),
    })
    await goTo('Diagnostics')
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Save bundle' }).click(),
    ])
    expect(download.suggestedFilename()).toBe('bsm-diagnostics.zip')
    await page.getByText('checks.json').waitFor()
  })

  it('wait in plain words', async () => {
    const page = await open('ready', { answer: silent('diagnose') })
    await goTo('Diagnostics')
    await page.getByText('Checking this machine and the app.').waitFor()
  })
})

describe('a page that nobody sees', () => {
  /** Lets a test hide the page, and counts what it hears and what it does. */
  const WATCHED = `window.__hidden = false
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => window.__hidden })
    window.__heard = 0
    const parse = JSON.parse
    JSON.parse = (text) => { window.__heard += 1; return parse(text) }
    window.__work = []
    addEventListener('DOMContentLoaded', () => {
      new MutationObserver((all) => window.__work.push(...all.map(({ type, target }) => type + ' of ' + (target.className ?? target.nodeName))))
        .observe(document.documentElement, { subtree: true, childList: true, attributes: true, characterData: true })
    })
    for (const name of ['setTimeout', 'setInterval', 'requestAnimationFrame']) {
      const real = window[name].bind(window)
      window[name] = (...args) => { window.__work.push(name); return real(...args) }
    }`
  const setHidden = (hidden: boolean) =>
    `window.__hidden = ${hidden}; document.dispatchEvent(new Event('visibilitychange'))`

  it('tells the app so, does nothing at all, and shows the newest when it is seen again', async () => {
    const page = await open('ready', { init: WATCHED })
    await page.getByText('Wiped and verified').waitFor()
    await page.evaluate(setHidden(true))
    await expect
      .poll(() => shown.requests.findLast(({ action }) => action === 'attend'))
      .toMatchObject({ seen: false })
    await page.evaluate('window.__work.length = 0; window.__heard = 0')
    for (let n = 1; n <= 200; n += 1) {
      shown.show(n % 2 === 0 ? every.ready : every.dispatching)
      shown.send({
        type: 'output',
        command_id: RUNNING_ID,
        stream: 'stdout',
        data_b64: 'QUFB',
        seq: n,
      })
    }
    shown.show(every.stopped)
    await expect.poll(() => page.evaluate<number>('window.__heard')).toBeGreaterThanOrEqual(401)
    expect(await page.evaluate('window.__work')).toEqual([])
    await page.evaluate(setHidden(false))
    await page.locator('.state-word').getByText('Stopped').waitFor()
    expect(shown.requests.findLast(({ action }) => action === 'attend')).toMatchObject({ seen: true })
  })
})
