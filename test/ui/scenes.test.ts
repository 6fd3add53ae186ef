import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildUi } from '../../build/bundle.ts'
import { every } from '../../renderer/fixtures/snapshots.ts'
import { axe, complaintsOf, launchBrowser } from './browser.ts'
import { FixturePage } from './fixture-page.ts'
import { walk } from './keyboard.ts'
import { scenes, SIZES } from './scenes.ts'

/** What holds of everything that the page can look like. */
let browser: Browser
beforeAll(async () => {
  await buildUi()
  browser = await launchBrowser()
})
afterAll(() => browser?.close())

it('there is a scene of every state', () => {
  expect(new Set(Object.values(scenes).map(({ state }) => state))).toEqual(new Set(Object.keys(every)))
})

describe.each(Object.entries(scenes))('%s', (_name, { state, size = 'popover', arrange, ...rest }) => {
  let shown: FixturePage
  let complaints: string[]
  beforeAll(async () => {
    shown = await FixturePage.open(browser, every[state], { ...rest, viewport: SIZES[size] })
    complaints = complaintsOf(shown.page)
    await shown.page.getByRole('tablist', { name: 'Views' }).waitFor()
    await arrange?.(shown)
  })
  afterAll(async () => {
    await shown?.context.close()
    expect(complaints).toEqual([])
  })

  it('is accessible in light and dark', async () => {
    expect(await axe(shown.page)).toEqual([])
    await shown.page.emulateMedia({ colorScheme: 'dark' })
    expect(await axe(shown.page, 'color-contrast')).toEqual([])
  })

  it('does not scroll the window', async () => {
    const needed = '({ width: document.body.scrollWidth, height: document.documentElement.scrollHeight })'
    expect(await shown.page.evaluate(needed)).toEqual(SIZES[size])
  })

  it('gives each control to the keyboard, in the order of reading, with a ring that can be seen', async () => {
    expect(await walk(shown.page)).toEqual([])
  })
})
