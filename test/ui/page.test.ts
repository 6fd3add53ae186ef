import { get } from 'node:http'
import { join } from 'node:path'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Sandbox, type Control } from '../../client/index.ts'
import { AppProcess, standbyReady } from '../support/app.ts'
import { freshImage } from '../support/image.ts'
import { Scratch } from '../support/scratch.ts'
import { axe, complaintsOf, launchBrowser } from './browser.ts'

/** The real app with its real VM, in a real browser; one of each for the whole file. */
const scratch = new Scratch('ui')
let app: AppProcess
let control: Control
let browser: Browser
let context: BrowserContext
let page: Page
let complaints: string[]

beforeAll(async () => {
  app = await (await AppProcess.start(scratch, await freshImage(), { ui: true })).ready()
  control = await app.control()
  browser = await launchBrowser()
  const first = await browser.newPage()
  await first.goto(await control.open())
  await first.getByRole('heading', { name: 'A computer for your agents, clean every time' }).waitFor()
  await first.close()
  await standbyReady(control)
  await control.exec('echo', { text: 'no first run any more' })
})

afterAll(async () => {
  await browser?.close()
  await control?.close()
  await app?.dispose()
  scratch.remove()
})

beforeEach(async () => {
  await standbyReady(control)
  context = await browser.newContext({ viewport: { width: 1280, height: 900 } })
  page = await context.newPage()
  page.setDefaultTimeout(30_000)
  complaints = complaintsOf(page)
  await page.goto(await control.open())
  await page.getByText('Ready', { exact: true }).first().waitFor()
})

afterEach(async ({ task }) => {
  // Of a failed test, what a person would have seen.
  if (task.result?.state === 'fail') console.error(await page.locator('body').innerText())
  await context.close()
  expect(complaints).toEqual([])
})

const panel = (name: string) => page.getByRole('region', { name })

async function runTool(tool: string, fields: Record<string, string> = {}): Promise<void> {
  const form = panel('Run a tool')
  await form.getByLabel('Tool').selectOption(tool)
  for (const [label, value] of Object.entries(fields)) await form.getByLabel(label).fill(value)
  await form.getByRole('button', { name: 'Run', exact: true }).click()
}

describe('the page', () => {
  it('takes the secret out of its address', () => {
    expect(page.url()).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/)
  })

  it('runs a tool and shows its output and the proof of the wipe', async () => {
    await runTool('uname')
    const form = panel('Run a tool')
    await form.getByText('The VM it ran in was wiped, and the wipe verified.').waitFor()
    await form.getByText(/aarch64/).waitFor()
    const wipe = panel('Last wipe')
    await wipe.getByText('Wiped and verified').waitFor()
    expect(await wipe.getByText('agrees', { exact: true }).count()).toBe(4)
  })

  it('shows what a tool writes as text, whatever it is', async () => {
    const hostile = String.raw`printf '\033[31m<img src=x onerror="document.title=1">\342\200\256txt'`
    await runTool('sh', { command: hostile })
    const output = panel('Run a tool').getByLabel('Output of sh').getByText('<img src=x onerror=')
    await output.waitFor()
    expect(await output.innerText()).not.toMatch(/[\u001b\u202e]/)
    expect(await page.locator('img').count()).toBe(0)
  })

  it('recomputes the evidence of a dispatch', async () => {
    await runTool('whoami')
    const form = panel('Run a tool')
    await form.getByRole('button', { name: /verify/i }).click()
    await form
      .getByText(/match|intact|same/i)
      .first()
      .waitFor()
  })

  it('resets on request', async () => {
    const before = (await control.status()).resets[0]?.reset_at
    await page.getByRole('button', { name: 'Reset' }).click()
    await expect
      .poll(async () => (await control.status()).resets[0]?.reset_at, { timeout: 30_000 })
      .not.toBe(before)
    await panel('Last wipe').getByText('Wiped and verified').waitFor()
  })

  it('stops the VM and starts it again', async () => {
    await page.getByRole('button', { name: 'Stop' }).click()
    await page.getByText('Stopped', { exact: true }).first().waitFor()
    await page.getByRole('button', { name: 'Start' }).click()
    await page.getByText('Ready', { exact: true }).first().waitFor()
  })

  it('reads the logs of the app and of its audit', async () => {
    await page.getByRole('tab', { name: 'Logs' }).click()
    await page.getByRole('log', { name: 'App & helper' }).getByText('The VM is ready').first().waitFor()
    await page.getByRole('button', { name: 'Audit' }).click()
    await page.getByRole('log', { name: 'Audit' }).getByText('vm_booted').first().waitFor()
    await control.exec('whoami')
    await page.getByRole('log', { name: 'Audit' }).getByText('tool=whoami').first().waitFor()
  })

  it('gives an agent a token that lets it in, and takes it away', async () => {
    await page.getByRole('tab', { name: 'Settings' }).click()
    const agents = panel('Agent access')
    await agents.getByLabel('New agent').fill('my-agent')
    await agents.getByRole('button', { name: 'Give access' }).click()
    const token = await agents.locator('.command code').innerText()
    const connect = () =>
      Sandbox.connect({ token, client: 'my-agent', socketPath: join(scratch.stateDir, 'agent.sock') })
    await (await connect()).close()
    await agents.getByRole('button', { name: 'Revoke my-agent' }).click()
    await page.getByRole('alertdialog').getByRole('button', { name: 'Revoke' }).click()
    await agents.getByText('No agent has access').waitFor()
    await expect(connect()).rejects.toThrow()
  })

  it('draws resets against the target that is set', async () => {
    await page.getByRole('tab', { name: 'Settings' }).click()
    const targets = panel('Reset targets')
    await targets.getByLabel('Fast snapshot', { exact: true }).fill('60000')
    await targets.getByRole('button', { name: 'Save' }).click()
    await page.getByRole('tab', { name: 'Sandbox' }).click()
    await panel('Resets')
      .getByText(/target of 60 s/)
      .waitFor()
  })

  it('checks the machine, and saves a bundle', async () => {
    await page.getByRole('tab', { name: 'Diagnostics' }).click()
    await panel('Checks').getByText('the chain is whole').waitFor()
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Save bundle' }).click(),
    ])
    expect(download.suggestedFilename()).toMatch(/^bsm-diagnostics-.*\.zip$/)
    await panel('Support bundle').getByText('snapshot.json').waitFor()
  })

  it('comes back after a reload, without a token', async () => {
    await page.reload()
    await page.getByText('Ready', { exact: true }).first().waitFor()
  })

  it('lets an address in only once', async () => {
    const url = await control.open()
    const second = await context.newPage()
    await second.goto(url)
    await second.getByText('Ready', { exact: true }).first().waitFor()
    const third = await (await browser.newContext()).newPage()
    await third.goto(url)
    await third.getByText('This address is used up').waitFor()
    await third.getByText('bsm open', { exact: true }).waitFor()
    await third.context().close()
  })

  it('shows the four channels as open, with a round trip', async () => {
    for (const port of ['1024', '1025', '1026', '1027'])
      await panel('Channels')
        .getByText(new RegExp(`${port} · open`))
        .waitFor()
  })

  it.each(['light', 'dark'] as const)('has no accessibility violation, %s', async (colorScheme) => {
    await page.emulateMedia({ colorScheme })
    await runTool('uname')
    await panel('Run a tool').getByText('The VM it ran in was wiped, and the wipe verified.').waitFor()
    expect(await axe(page)).toEqual([])
  })

  it('can be driven by the keyboard alone', async () => {
    await panel('Run a tool').getByLabel('Tool').selectOption('whoami')
    await panel('Run a tool').getByLabel('Tool').focus()
    const focused = () => page.locator(':focus').innerText()
    for (let i = 0; i < 10 && (await focused()) !== 'Run'; i += 1) await page.keyboard.press('Tab')
    expect(await focused()).toBe('Run')
    await page.keyboard.press('Enter')
    await panel('Run a tool').getByText('sandbox', { exact: true }).waitFor()
  })

  it('is served under a policy that runs nothing from elsewhere', async () => {
    const headers = await new Promise<Record<string, string | string[] | undefined>>((resolve, reject) => {
      get(new URL(page.url()), (response) => {
        response.resume()
        resolve(response.headers)
      }).on('error', reject)
    })
    expect(headers['content-security-policy']).toContain("default-src 'none'")
    expect(headers['content-security-policy']).toContain("script-src 'self';")
    expect(headers['content-security-policy']).toContain("frame-ancestors 'none'")
    expect(headers['referrer-policy']).toBe('no-referrer')
    expect(headers['cache-control']).toBe('no-store')
  })
})
