import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Browser, Page } from 'playwright-core'
import { buildUi } from '../../build/bundle.ts'
import { every } from '../../renderer/fixtures/snapshots.ts'
import { AppProcess, standbyReady } from '../support/app.ts'
import { freshImage, repository } from '../support/image.ts'
import { Scratch } from '../support/scratch.ts'
import { launchBrowser } from './browser.ts'
import { FixturePage } from './fixture-page.ts'
import { scenes, SIZES, type Scene } from './scenes.ts'

/**
 * Takes the pictures under `docs/images/`: `npx tsx test/ui/pictures.ts`. `page` and `popover` are of the real page on
 * a real VM, after a few dispatches; `divergence` and `welcome` are of scenes.
 *
 * `--all FOLDER` takes every scene, for looking at, and where it scrolls its end as well; `--only WORD` those whose
 * name holds the word.
 */
const SCHEMES = ['light', 'dark'] as const
const COMMANDS = [
  'echo hello > note; cat note',
  'cat note',
  'seq 1 5 | tr "\\n" " "',
  'uname -sm; date -u +%F',
]
/** Whether there was more to see. */
const TO_THE_END = `(() => {
  const content = document.querySelector('.content')
  const from = content.scrollTop
  content.scrollTop = content.scrollHeight
  return content.scrollTop > from
})()`
/** Pictures of the documentation that a VM would take minutes to be brought to. */
const KEPT = ['divergence', 'welcome']

const { values: asked } = parseArgs({ options: { all: { type: 'string' }, only: { type: 'string' } } })
const folder = asked.all === undefined ? join(repository, 'docs/images') : resolve(asked.all)
mkdirSync(folder, { recursive: true })
const browser = await launchBrowser()
try {
  await buildUi()
  for (const [name, scene] of Object.entries(scenes))
    if (asked.all === undefined ? KEPT.includes(name) : name.includes(asked.only ?? ''))
      await ofScene(browser, name, scene, asked.all !== undefined).catch((error: unknown) => {
        process.exitCode = 1
        console.error(`${name}:`, error)
      })
  if (asked.all === undefined) await ofTheApp(browser)
} finally {
  await browser.close()
}

async function take(page: Page, name: string): Promise<void> {
  const path = join(folder, `${name}.png`)
  await page.screenshot({ path, animations: 'disabled', caret: 'hide' })
  console.log(path)
}

async function ofScene(browser: Browser, name: string, scene: Scene, andItsEnd: boolean): Promise<void> {
  for (const colorScheme of SCHEMES) {
    const { state, size = 'popover', arrange, ...rest } = scene
    const shown = await FixturePage.open(browser, every[state], {
      ...rest,
      viewport: SIZES[size],
      colorScheme,
      deviceScaleFactor: 1.5,
      reducedMotion: 'reduce',
    })
    await shown.page.getByRole('tablist', { name: 'Views' }).waitFor()
    await arrange?.(shown)
    await take(shown.page, `${name}-${colorScheme}`)
    const scrolled = await shown.page.evaluate<boolean>(TO_THE_END)
    if (scrolled && andItsEnd) await take(shown.page, `${name}-${colorScheme}-end`)
    await shown.context.close()
  }
}

async function ofTheApp(browser: Browser): Promise<void> {
  const scratch = new Scratch('pic')
  const app = await (await AppProcess.start(scratch, await freshImage(), { ui: true })).ready()
  const control = await app.control()
  try {
    for (let i = 0; i < 12; i += 1) {
      await standbyReady(control)
      await control.exec('sh', { command: COMMANDS[i % COMMANDS.length] ?? 'true' })
    }
    for (const name of ['page', 'popover'] as const)
      for (const colorScheme of SCHEMES) {
        await standbyReady(control)
        const page = await browser.newPage({ viewport: SIZES[name], colorScheme, deviceScaleFactor: 1.5 })
        await page.goto(await control.open())
        await page.getByText('Ready', { exact: true }).first().waitFor()
        if (name === 'page') {
          const form = page.getByRole('region', { name: 'Run a tool' })
          await form.getByLabel('Tool').selectOption('uname')
          await form.getByRole('button', { name: 'Run', exact: true }).click()
          await form.getByText('The VM it ran in was wiped, and the wipe verified.').waitFor()
          await standbyReady(control)
        }
        await take(page, `${name}-${colorScheme}`)
        await page.close()
      }
  } finally {
    await control.close()
    await app.dispose()
    scratch.remove()
  }
}
