import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Control } from '../../client/index.ts'
import type { AppSnapshot, Degraded } from '../../core/protocol/index.ts'
import { helperOf, standbyReady, whenApp } from '../support/app.ts'
import { until, within } from '../support/deadline.ts'
import { freshImage } from '../support/image.ts'
import { connectedWith, gone, isAlive, tree, type ProcessId } from '../support/processes.ts'
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
  writeFileSync(join(scratch.stateDir, 'settings.json'), JSON.stringify({ cpus: 1, memory_mib: 256 }))
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

/** The app with its VM up and nothing stirring, whatever a test before did. */
async function ready(): Promise<AppSnapshot> {
  await control.up()
  return standbyReady(control)
}

/** What was shown where the icon is, from now on: shapes, and the words of tooltip and VoiceOver. */
async function watchIcon() {
  const records = async (what: string): Promise<string[]> => desk.call('records', what)
  const [shapes, words] = [(await records('icon')).length, (await records('tooltip')).length]
  return {
    shapes: async () => (await records('icon')).slice(shapes).map((file) => file.replace('OnLight.png', '')),
    words: async () => (await records('tooltip')).slice(words),
  }
}
const iconIs = (shape: string): Promise<true> =>
  until(MS, `an icon that says ${shape}`, async () =>
    (await desk.call('tray')).image === `${shape}OnLight.png` ? true : undefined,
  )
const said = (words: string): string => `Brainstorm Sandbox: ${words}`

/** That of an app that ended nothing lives, lies about or is shown. */
async function nothingIsLeft(own: Scratch): Promise<void> {
  const shown = () => screen.context.pages().filter((page) => page.url() !== 'about:blank')
  await until(5_000, 'closed windows', () => shown().length === 0)
  expect(connectedWith(own.marker, own.root).map(({ command }) => command)).toEqual([])
  expect(own.appLeftovers()).toEqual([])
}

describe('the icon', () => {
  it('said that the VM was starting, then that it was ready', async () => {
    expect((await desk.call('records', 'icon')).slice(0, 2)).toEqual([
      'startingOnLight.png',
      'readyOnLight.png',
    ])
    expect((await desk.call('records', 'tooltip')).slice(0, 2)).toEqual([
      said('starting. Starting the VM.'),
      said('ready. Ready for a dispatch.'),
    ])
  })

  it('says that a tool runs, that its VM is wiped, and that all is ready again', async () => {
    await ready()
    const icon = await watchIcon()
    const running = control.exec('sh', { command: 'read line' }, { deadlineMs: 2_000 })
    await iconIs('working')
    expect((await desk.call('tray')).menu[0]).toBe('Brainstorm Sandbox is working')
    await running
    await iconIs('ready')
    expect(await icon.shapes()).toEqual(['working', 'resetting', 'ready'])
    expect(await icon.words()).toEqual([
      said('working. Running sh for cli.'),
      expect.stringMatching(/^Brainstorm Sandbox: resetting\. \w+.*\.$/),
      said('ready. Ready for a dispatch.'),
    ])
  })

  it('follows what its menu does: stop, and start again', async () => {
    await ready()
    const icon = await watchIcon()
    await desk.call('clickMenu', 'stop')
    await whenApp(control, 'stopped', ({ state }) => state === 'stopped')
    await iconIs('stopped')
    // What lasts less than 50 ms may be skipped.
    const [stopping, stopped] = [said('stopping. Stopping the VM.'), said('stopped. The VM is not running.')]
    expect([[stopping, stopped], [stopped]]).toContainEqual(await icon.words())
    expect(await desk.call('tray')).toMatchObject({
      tooltip: stopped,
      menu: expect.arrayContaining(['Start the VM']) as string[],
    })
    await desk.call('clickMenu', 'start')
    await iconIs('ready')
    expect(await icon.shapes()).toEqual(['stopped', 'starting', 'ready'])
  })

  it('is drawn for the menu bar that it lies on', async () => {
    await ready()
    await iconIs('ready')
    await desk.call('darkPanel', true)
    expect((await desk.call('tray')).image).toBe('readyOnDark.png')
    await desk.call('darkPanel', false)
    expect((await desk.call('tray')).image).toBe('readyOnLight.png')
  })
})

describe('flows', () => {
  for (const [name, flow] of Object.entries(FLOWS))
    it(name, async () => {
      await ready()
      await flow(desk)
    })
})

describe('a machine that sleeps', () => {
  it('runs nothing and calls nothing ready until it woke and has another VM', async () => {
    const { resets } = await ready()
    const icon = await watchIcon()
    await desk.power('suspend')
    await desk.power('lock-screen')
    const seen: AppSnapshot[] = []
    const stop = await control.subscribe((event) => {
      if (event.event === 'state_changed') seen.push(event.snapshot)
    })
    const waiting = control.exec('echo', { text: 'awake' })
    await whenApp(control, 'a dispatch that waits', ({ dispatches }) => dispatches[0]?.state === 'queued')
    await iconIs('resetting')
    expect(await icon.shapes()).toEqual(['resetting'])
    await desk.power('resume')
    await desk.power('unlock-screen')
    expect(await waiting).toMatchObject({ exit_code: 0, stdout: 'awake\n' })
    await whenApp(control, 'ready', ({ state }) => state === 'ready')
    stop()
    const beforeItsWipe = seen.filter((snapshot) => snapshot.resets[0]?.reset_at === resets[0]?.reset_at)
    expect(new Set(beforeItsWipe.map(({ state }) => state))).toEqual(new Set(['resetting']))
  })
})

describe('the page in its window', () => {
  it('does nothing while nobody sees it, and shows what is so when somebody does', async () => {
    await ready()
    const page = await desk.open()
    await titled(page, 'Ready')
    await desk.hide()
    await until(MS, 'a hidden page', () => page.evaluate('document.hidden'))
    // It told so itself; replies come in order, and after this one nothing is under way.
    await ask(page, { action: 'attend', seen: false })
    await page.evaluate(`
      globalThis.work = { messages: [], changes: 0 }
      bsm.subscribe((text) => work.messages.push(text.slice(0, 100)))
      new MutationObserver(() => (work.changes += 1)).observe(document, {
        ...{ attributes: true, characterData: true, childList: true, subtree: true },
      })`)
    await control.reset()
    await control.down(false)
    expect(await page.evaluate('work')).toEqual({ messages: [], changes: 0 })
    await desk.open()
    await titled(page, 'Stopped')
    await control.up()
    await titled(page, 'Ready')
  })

  it('has a session of its own once it is reloaded', async () => {
    await ready()
    const page = await desk.open()
    await page.reload()
    await titled(page, 'Ready')
    const nothing = { action: 'cancel', command_id: '00000000-0000-4000-8000-000000000000' }
    expect(await ask(page, nothing)).toMatchObject({ ok: true })
  })
})

describe('a second instance', () => {
  it('shows the popover of the first and ends; the VM goes on', async () => {
    await ready()
    const helper = helperOf(scratch)
    await desk.hide()
    const second = new StandInDesk(scratch, screen)
    try {
      expect(await within(MS, 'its end', second.exited), second.output).toBe(0)
      await until(MS, 'a visible popover', () => desk.visible('popover'))
      await titled(await desk.page('popover'), 'Ready')
      expect(helperOf(scratch)).toEqual(helper)
    } finally {
      await second.end()
    }
  })
})

describe('a helper that is killed', () => {
  it('is told of with its reason, and another takes its place', async () => {
    const { helper_restarts: before } = await ready()
    const icon = await watchIcon()
    const helper = helperOf(scratch)
    const below = tree(helper.pid)
    process.kill(helper.pid, 'SIGKILL')
    const after = await whenApp(
      control,
      'another helper',
      ({ state, helper_restarts }) => state === 'ready' && helper_restarts === before + 1,
    )
    expect(after.last_crash).toBe('The helper was killed by SIGKILL.')
    await iconIs('ready')
    expect((await icon.words())[0]).toBe(
      said('starting. The helper was killed by SIGKILL. Starting a new one.'),
    )
    expect(await icon.shapes()).toEqual(['starting', 'ready'])
    expect((await desk.call('tray')).menu).toContain('Last failure: The helper was killed by SIGKILL.')
    await (await desk.open()).getByText('The helper was killed by SIGKILL.').waitFor({ timeout: MS })
    await gone(below)
  })

  it('is given up when that goes on, with a sentence, until a person starts it again', async () => {
    await ready()
    const killed: ProcessId[] = []
    await until(MS, 'an app that gave up', async () => {
      const helper = runningHelper()
      if (helper !== null && killed.at(-1)?.pid !== helper.pid) {
        killed.push(helper)
        process.kill(helper.pid, 'SIGKILL')
      }
      return (await desk.call('tray')).image === 'errorOnLight.png'
    })
    expect(killed.length).toBeLessThanOrEqual(6)
    const { tooltip, menu } = await desk.call('tray')
    expect(tooltip).toMatch(/error\. The helper kept ending and is not started again\. Last: .*SIGKILL/)
    expect(menu).toContain('Start the VM')
    expect(runningHelper()).toBeNull()
    await titled(await desk.open(), 'Failed')
    await desk.call('clickMenu', 'start')
    await titled(await desk.page('popover'), 'Ready')
    await gone(killed)
  })
})

function runningHelper(): ProcessId | null {
  try {
    const helper = helperOf(scratch)
    return isAlive(helper) ? helper : null
  } catch {
    return null
  }
}

describe('quitting', () => {
  it('by the menu while a tool runs tells its agent, stops the VM and leaves nothing', async () => {
    await ready()
    const processes = tree(desk.child.pid ?? 0)
    expect(processes.length).toBeGreaterThan(3)
    const cut = control.exec('sh', { command: 'sleep 60' })
    cut.catch(() => undefined)
    await iconIs('working')
    await desk.call('clickMenu', 'quit')
    // Another code would tell that the VM did not stop within its bound.
    expect(await within(MS, 'the end of the app', desk.exited), desk.output).toBe(0)
    expect((await cut).error).toMatchObject({
      code: 'CANCELLED',
      layer: 'app',
      message: 'The VM was stopped while it ran.',
    })
    await gone(processes)
    await nothingIsLeft(scratch)
  })

  it.each([
    ['by a signal', 0, (own: StandInDesk) => void own.child.kill('SIGTERM')],
    ['by the end of the session', 0, (own: StandInDesk) => own.call('power', 'shutdown')],
    ['on an error that nobody caught', 70, (own: StandInDesk) => own.call('surprise')],
  ])('%s while the VM starts leaves nothing either', async (_how, code, end) => {
    const own = new StandInDesk(scratch, screen)
    try {
      await until(MS, 'a helper', runningHelper)
      await end(own)
      expect(await within(MS, 'the end of the app', own.exited), own.output).toBe(code)
      await nothingIsLeft(scratch)
    } finally {
      await own.dispose()
    }
  })
})

describe('an app that was degraded when it ended', () => {
  it('says so from its start, and starts no VM', async () => {
    const own = new Scratch('shell')
    const degraded: Degraded = {
      since: new Date().toISOString(),
      code: 'RESET_VERIFICATION_DIVERGENCE',
      sources: ['fs_hash'],
      message: 'The root file system changed.',
      report: null,
    }
    writeFileSync(join(own.stateDir, 'degraded.json'), JSON.stringify(degraded), { mode: 0o600 })
    const again = new StandInDesk(own, screen)
    try {
      await until(MS, 'an icon', async () => (await again.call('tray')).alive)
      expect(await again.call('tray')).toMatchObject({
        image: 'degradedOnLight.png',
        tooltip: said('degraded. Dispatches are refused: The root file system changed.'),
        menu: expect.arrayContaining(['Look at What Disagreed…']) as string[],
      })
      await titled(await again.open(), 'Halted')
      expect(() => helperOf(own)).toThrow()
      expect(await again.quit(), again.output).toBe(0)
      await nothingIsLeft(own)
    } finally {
      await again.dispose()
      own.remove()
    }
  })
})
