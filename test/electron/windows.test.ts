import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Distribution } from '../../core/protocol/index.ts'
import { until } from '../support/deadline.ts'
import { repository } from '../support/image.ts'
import { Scratch } from '../support/scratch.ts'
import { buildApp, Screen, StandInDesk } from './desk.ts'
import { ask } from './flows.ts'

/**
 * The built app as it would lie in a bundle, in which the guest image is missing: windows, messages and denials need no
 * VM, and what is missing is said.
 */
const scratch = new Scratch('windows')
const MS = 60_000
const resourcesPath = scratch.path('Resources')
const packaged = { resourcesPath, appPath: join(resourcesPath, 'app.asar') }
const env = { XDG_STATE_HOME: scratch.path('xdg-state'), XDG_CONFIG_HOME: scratch.path('xdg-config') }
let screen: Screen
let desk: StandInDesk

beforeAll(async () => {
  await buildApp()
  mkdirSync(packaged.appPath, { recursive: true })
  symlinkSync(join(repository, 'dist'), join(packaged.appPath, 'dist'))
  cpSync(join(repository, 'package.json'), join(packaged.appPath, 'package.json'))
  const distribution: Distribution = {
    schema: 'bsm-distribution/1',
    signing: { kind: 'ad_hoc' },
    guest: {},
    update_feed: null,
  }
  writeFileSync(join(packaged.appPath, 'distribution.json'), JSON.stringify(distribution))
  screen = await Screen.open()
  desk = new StandInDesk(scratch, screen, { packaged, env })
  await until(MS, 'the icon', async () => (await desk.call('tray')).alive)
})

afterAll(async () => {
  await desk?.dispose()
  await screen?.close()
  scratch.remove()
})

const click = () => desk.call('clickTray')

describe('in its bundle', () => {
  it('takes nothing from the environment, and its parts from beside it', async () => {
    expect(await desk.call('env')).toEqual([])
    await until(MS, 'the failure', async () => (await desk.call('tray')).image === 'errorOnLight.png')
    expect((await desk.call('tray')).tooltip).toContain(`in ${join(resourcesPath, 'guest')}`.slice(0, 40))
    expect(scratch.list(scratch.stateDir)).toEqual([])
    expect(scratch.list(scratch.path('xdg-state')).map(({ path }) => path)).toContain(
      'xdg-state/brainstorm-sandbox/audit.jsonl',
    )
  })

  it('says which macOS it needs, and sends no crash anywhere', async () => {
    expect((await desk.call('records', 'about'))[0]).toContain('macOS 13')
    expect(await desk.call('records', 'crash reporter')).toEqual(['{"uploadToServer":false}'])
  })
})

describe('the icon', () => {
  it('shows and hides the popover, and not again with the click that took its focus', async () => {
    await desk.hide()
    await click()
    expect(await desk.visible('popover')).toBe(true)
    await click()
    expect(await desk.visible('popover')).toBe(false)
    await click()
    await desk.call('pressTray')
    expect(await desk.visible('popover')).toBe(false)
    await click()
    expect(await desk.visible('popover')).toBe(true)
    await desk.call('blur', 'popover')
    expect(await desk.visible('popover')).toBe(false)
    await click()
    expect(await desk.visible('popover')).toBe(true)
  })

  it('has the popover under it, wherever it moves', async () => {
    const place = async () => (await desk.call('windows')).find(({ kind }) => kind === 'popover')?.bounds
    await desk.call('moveTray', 1000)
    expect(await place()).toEqual({ x: 802, y: 33, width: 420, height: 704 })
    await desk.call('moveTray', 1420)
    expect(await place()).toMatchObject({ x: 1012 })
  })

  it('keeps the popover when the window manager would close it', async () => {
    const page = await desk.open()
    await desk.call('closeWindow', 'popover')
    await until(MS, 'a hidden popover', async () => !(await desk.visible('popover')))
    expect(await desk.open()).toBe(page)
  })
})

describe('the page in its window', () => {
  it('has the fixed functions and nothing of Electron or Node', async () => {
    const page = await desk.open()
    expect(await page.evaluate('Object.keys(bsm).sort()')).toEqual([
      'hide',
      'loginItem',
      'openLoginItems',
      'openSettings',
      'quit',
      'send',
      'setLoginItem',
      'subscribe',
      'window',
    ])
    expect(
      await page.evaluate(
        '[typeof require, typeof process, typeof module, typeof ipcRenderer, typeof standInIpc, Object.isFrozen(bsm)]',
      ),
    ).toEqual(['undefined', 'undefined', 'undefined', 'undefined', 'undefined', true])
  })

  it('is told that Linux does not start it at login', async () => {
    const page = await desk.open()
    expect(await page.evaluate('bsm.loginItem()')).toMatchObject({ status: 'unavailable' })
    expect(await page.evaluate('bsm.setLoginItem(true)')).toMatchObject({ status: 'unavailable' })
    await expect(page.evaluate('bsm.setLoginItem("yes")')).rejects.toThrow(/invalid/i)
  })

  it('is answered with an error when it asks for what there is not', async () => {
    const page = await desk.open()
    expect(await ask(page, { action: 'format_disk' })).toMatchObject({
      ok: false,
      error: { code: 'BAD_REQUEST' },
    })
    expect(await ask(page, { action: 'auth', token: 'x' })).toMatchObject({ ok: false })
  })
})

describe('a page that is turned against the app', () => {
  it('runs sandboxed, in a world of its own', async () => {
    expect(await desk.call('sandboxed')).toBe(true)
    await desk.open()
    expect((await desk.call('windows'))[0]?.webPreferences).toEqual({
      additionalArguments: ['--bsm-window=popover'],
      sandbox: true,
      contextIsolation: true,
      nodeIntegration: false,
      nodeIntegrationInWorker: false,
      nodeIntegrationInSubFrames: false,
      webSecurity: true,
      webviewTag: false,
      allowRunningInsecureContent: false,
      experimentalFeatures: false,
      navigateOnDragDrop: false,
      spellcheck: false,
      devTools: false,
    })
  })

  it('does not navigate away, neither itself nor a frame', async () => {
    const page = await desk.open()
    await page.evaluate('location.href = "https://example.com/gone"')
    await until(MS, 'the refusal', async () =>
      (await desk.call('records', 'navigation refused')).includes('https://example.com/gone'),
    )
    expect(await desk.call('redirect', 'popover', 'https://example.com/')).toBe(true)
    expect(await desk.call('redirect', 'popover', 'bsm://app/')).toBe(false)
    expect(await desk.call('webview', 'popover')).toBe(true)
  })

  it('opens no window', async () => {
    const page = await desk.open()
    await page.evaluate('void window.open("https://example.com/popup")')
    await until(MS, 'the refusal', async () => (await desk.call('records', 'window.open')).length > 0)
    expect(await desk.call('records', 'window.open')).toEqual(['deny'])
  })

  it('reaches nothing outside of the app', async () => {
    const page = await desk.open()
    const fetched = await page.evaluate(
      'fetch("https://example.com/x").then(() => "reached", () => "refused")',
    )
    expect(fetched).toBe('refused')
    // With the page's own rules out of the way the session still refuses.
    expect(await desk.call('scheme', 'https://example.com/x')).toBeNull()
    expect(await desk.call('scheme', 'file:///etc/passwd')).toBeNull()
    expect(await desk.call('records', 'opened')).toEqual([])
  })

  it('runs no script but its own', async () => {
    const page = await desk.open()
    await page.evaluate(
      'const s = document.createElement("script"); s.textContent = "globalThis.inline = 1"; document.body.append(s)',
    )
    expect(await page.evaluate('typeof inline')).toBe('undefined')
    expect((await desk.call('scheme', 'bsm://app/'))?.headers['content-security-policy']).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    )
  })

  it.each([
    'bsm://app/../package.json',
    'bsm://app/%2e%2e/package.json',
    'bsm://app/..%2f..%2fpackage.json',
    'bsm://app/assets/..\\..\\x.js',
    'bsm://app//etc/passwd',
    'bsm://other/index.html',
    'bsm://app.evil/index.html',
  ])('gets nothing from %s', async (url) => {
    expect(await desk.call('scheme', url)).toMatchObject({ status: 404 })
  })

  it('may only read what the scheme serves', async () => {
    expect(await desk.call('scheme', 'bsm://app/', 'POST')).toMatchObject({ status: 405 })
    expect(await desk.call('scheme', 'bsm://app/', 'HEAD')).toMatchObject({ status: 200, body: '' })
    expect(await desk.call('scheme', 'bsm://app/index.html?x=1#y')).toMatchObject({
      status: 200,
      headers: { 'x-content-type-options': 'nosniff', 'content-type': 'text/html; charset=utf-8' },
    })
  })

  it('is granted nothing but to copy', async () => {
    for (const permission of [
      'geolocation',
      'media',
      'notifications',
      'clipboard-read',
      'hid',
      'openExternal',
    ])
      expect(await desk.call('granted', permission, 'bsm://app/'), permission).toEqual({
        asked: false,
        checked: false,
      })
    expect(await desk.call('granted', 'clipboard-sanitized-write', 'bsm://app/')).toEqual({
      asked: true,
      checked: true,
    })
    expect(await desk.call('granted', 'clipboard-sanitized-write', 'https://example.com/')).toEqual({
      asked: false,
      checked: false,
    })
    expect(await desk.call('devices')).toBe(false)
  })

  it('is not heard from any frame but the page itself', async () => {
    await desk.open()
    for (const from of ['gone', 'elsewhere', 'below', 'another'] as const) {
      await desk.call('foreignMessage', 'popover', from, 'bsm:request', ['{"id":1,"action":"stop"}'])
      await desk.call('foreignMessage', 'popover', from, 'bsm:hide', [])
      await desk.call('foreignMessage', 'popover', from, 'bsm:quit', [])
    }
    expect(await desk.call('foreignInvoke', 'popover', 'bsm:login-item', [])).toMatchObject({ ok: false })
    expect(await desk.visible('popover')).toBe(true)
  })
})

describe('one app', () => {
  it('is enough: a second one shows the first and ends', async () => {
    await desk.hide()
    const second = new StandInDesk(scratch, screen, { packaged, env })
    try {
      expect(await second.exited, second.output).toBe(0)
      await until(MS, 'a visible popover', () => desk.visible('popover'))
    } finally {
      await second.end()
    }
  })
})
