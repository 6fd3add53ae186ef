import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { AppProcess, standbyReady } from '../support/app.ts'
import { freshImage, repository } from '../support/image.ts'
import { Scratch } from '../support/scratch.ts'
import { launchBrowser } from './browser.ts'

/**
 * Takes the pictures under `docs/images/` of the real page on a real VM, after a few dispatches:
 * `npx tsx test/ui/pictures.ts`.
 */
const folder = join(repository, 'docs/images')
const SIZES = { page: { width: 1280, height: 900 }, popover: { width: 420, height: 704 } }
const COMMANDS = [
  'echo hello > note; cat note',
  'cat note',
  'seq 1 5 | tr "\\n" " "',
  'uname -sm; date -u +%F',
]

mkdirSync(folder, { recursive: true })
const scratch = new Scratch('pic')
const app = await (await AppProcess.start(scratch, await freshImage(), { ui: true })).ready()
const control = await app.control()
const browser = await launchBrowser()
try {
  for (let i = 0; i < 12; i += 1) {
    await standbyReady(control)
    await control.exec('sh', { command: COMMANDS[i % COMMANDS.length] ?? 'true' })
  }
  for (const [name, viewport] of Object.entries(SIZES))
    for (const colorScheme of ['light', 'dark'] as const) {
      await standbyReady(control)
      const page = await browser.newPage({ viewport, colorScheme, deviceScaleFactor: 1.5 })
      await page.goto(await control.open())
      await page.getByText('Ready', { exact: true }).first().waitFor()
      if (name === 'page') {
        const form = page.getByRole('region', { name: 'Run a tool' })
        await form.getByLabel('Tool').selectOption('uname')
        await form.getByRole('button', { name: 'Run', exact: true }).click()
        await form.getByText('The VM it ran in was wiped, and the wipe verified.').waitFor()
        await standbyReady(control)
      }
      const path = join(folder, `${name}-${colorScheme}.png`)
      await page.screenshot({ path })
      console.log(path)
      await page.close()
    }
} finally {
  await browser.close()
  await control.close()
  await app.dispose()
  scratch.remove()
}
