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
})

describe('the page in its window', () => {
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

describe('quitting', () => {
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
