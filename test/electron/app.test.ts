import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Control } from '../../client/index.ts'
import { standbyReady, whenApp } from '../support/app.ts'
import { until } from '../support/deadline.ts'
import { freshImage } from '../support/image.ts'
import { orphans } from '../support/helper.ts'
import { connectedWith } from '../support/processes.ts'
import { Scratch } from '../support/scratch.ts'
import { buildApp, Screen, StandInDesk } from './desk.ts'
import { ask, FLOWS, titled } from './flows.ts'

/** The built app, unmodified, with the real core, a real helper, a real VM and real pages; one for the whole file. */
const scratch = new Scratch('shell')
const MS = 60_000
let screen: Screen
let desk: StandInDesk
let control: Control

beforeAll(async () => {
  await Promise.all([buildApp(), freshImage()])
  screen = await Screen.open()
  desk = new StandInDesk(scratch, screen)
  control = await desk.control()
  await standbyReady(control)
})

afterAll(async () => {
  await control?.close()
  await desk?.dispose()
  await screen?.close()
  scratch.remove()
})

const hidden = () => until(MS, 'a hidden popover', async () => !(await desk.visible('popover')))
const hide = async (): Promise<void> => {
  if (await desk.visible('popover')) await (await desk.page('popover')).evaluate('bsm.hide()')
  await hidden()
}
const click = () => desk.call('clickTray')

describe('flows', () => {
  for (const [name, flow] of Object.entries(FLOWS)) it(name, () => flow(desk))
})

describe('the icon', () => {
  it('has the shape, the tooltip and the menu of the state', async () => {
    await whenApp(control, 'ready', ({ state }) => state === 'ready')
    await until(MS, 'the icon', async () => (await desk.call('tray')).image === 'readyOnLight.png')
    expect(await desk.call('tray')).toMatchObject({
      tooltip: 'Brainstorm Sandbox: ready. Ready for a dispatch.',
      menu: expect.arrayContaining(['Brainstorm Sandbox is ready', 'Quit Brainstorm Sandbox']) as string[],
    })
    await desk.call('darkPanel', true)
    expect((await desk.call('tray')).image).toBe('readyOnDark.png')
    await desk.call('darkPanel', false)
  })

  it('follows what its menu does: stop, and start again', async () => {
    await desk.call('clickMenu', 'stop')
    await until(MS, 'stopped', async () => (await desk.call('tray')).image === 'stoppedOnLight.png')
    expect((await desk.call('tray')).menu).toContain('Start the VM')
    await desk.call('clickMenu', 'start')
    await until(MS, 'starting', async () => (await desk.call('tray')).image === 'startingOnLight.png')
    await until(MS, 'ready', async () => (await desk.call('tray')).image === 'readyOnLight.png')
    await standbyReady(control)
  })

  it('shows and hides the popover, and not again with the click that took its focus', async () => {
    await hide()
    await click()
    expect(await desk.visible('popover')).toBe(true)
    await click()
    expect(await desk.visible('popover')).toBe(false)
    await click()
    await desk.call('blur', 'popover', true)
    expect(await desk.visible('popover')).toBe(false)
    await click()
    expect(await desk.visible('popover')).toBe(false)
    await click()
    expect(await desk.visible('popover')).toBe(true)
    await desk.call('blur', 'popover', false)
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
    await hidden()
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

  it('is told that a checkout on Linux does not start at login', async () => {
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

  it('gets no snapshots while nobody sees it, and the newest when somebody does', async () => {
    const page = await desk.open()
    await titled(page, 'Ready')
    await page.evaluate(
      'globalThis.heard = 0; bsm.subscribe((text) => { if (JSON.parse(text).type === "snapshot") heard += 1 })',
    )
    await hide()
    const before = await page.evaluate('heard')
    await control.reset()
    expect(await page.evaluate('heard')).toBe(before)
    await desk.open()
    await until(MS, 'a snapshot', async () => Number(await page.evaluate('heard')) > Number(before))
  })

  it('starts over with a session of its own when it is reloaded', async () => {
    const page = await desk.open()
    await page.reload()
    await titled(page, 'Ready')
    expect(
      await ask(page, { action: 'cancel', command_id: '00000000-0000-4000-8000-000000000000' }),
    ).toMatchObject({
      ok: true,
    })
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
      devTools: true,
    })
  })

  it('does not navigate away, neither itself nor a frame', async () => {
    const page = await desk.open()
    await page.evaluate('location.href = "https://example.com/gone"')
    await until(MS, 'the refusal', async () =>
      (await desk.call('records', 'navigation refused')).includes('https://example.com/gone'),
    )
    await titled(page, 'Ready')
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
    expect((await control.status()).state).toBe('ready')
  })
})

describe('a helper that is killed', () => {
  it('is told of with its reason, and another takes its place', async () => {
    const before = await control.status()
    const helper = connectedWith(scratch.marker, scratch.root).find(({ command }) => / boot /.test(command))
    process.kill(helper?.pid ?? 0, 'SIGKILL')
    const after = await whenApp(
      control,
      'another helper',
      ({ state, helper_restarts: restarts }) => state === 'ready' && restarts > before.helper_restarts,
    )
    expect(after.last_crash).toMatch(/SIGKILL/)
    await until(MS, 'the menu', async () =>
      (await desk.call('tray')).menu.some((label) => label.startsWith('Last failure: ')),
    )
    await standbyReady(control)
  })
})

describe('one app', () => {
  it('is enough: a second one shows the first and ends', async () => {
    await hide()
    const second = new StandInDesk(scratch, screen)
    try {
      expect(await second.exited, second.output).toBe(0)
      await until(MS, 'a visible popover', () => desk.visible('popover'))
    } finally {
      await second.dispose()
    }
  })

  it('leaves nothing when it quits, from the menu as by a signal', async () => {
    await control.close()
    expect(await desk.quit(), desk.output).toBe(0)
    expect(
      await orphans(scratch).then((left) => left.filter(({ command }) => !/chromium/.test(command))),
    ).toEqual([])
    expect(readdirSync(scratch.stateDir).filter((name) => /\.(sock|lock|token)$/.test(name))).toEqual([])
    expect(readdirSync(join(scratch.stateDir, 'electron'))).toEqual([])
    const again = new StandInDesk(scratch, screen)
    try {
      await using own = await again.control()
      await whenApp(own, 'ready', ({ state }) => state === 'ready')
      again.child.kill('SIGTERM')
      expect(await again.exited, again.output).toBe(0)
    } finally {
      await again.dispose()
    }
  })
})
