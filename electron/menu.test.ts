import { describe, expect, it } from 'vitest'
import type { UpdateState } from '../core/index.ts'
import { AppState, type AppSnapshot } from '../core/protocol/index.ts'
import { describeLogin } from './login-status.ts'
import { shapeOf, tooltipOf, TRAY_SHAPES, type TrayShape } from './look.ts'
import { menuOf, type MenuEntry } from './menu.ts'

const snapshot = (part: Partial<AppSnapshot>): AppSnapshot => ({
  version: '1',
  state: 'ready',
  message: 'Ready for a dispatch.',
  since: '2026-01-01T00:00:00.000Z',
  error: null,
  degraded: null,
  helper: null,
  resets: [],
  dispatches: [],
  queue_length: 0,
  tools: [],
  helper_restarts: 0,
  last_crash: null,
  first_run: false,
  reset_target_ms: { fast_snapshot: 1_000, cold_boot: 5_000 },
  ...part,
})
const DISABLED = describeLogin('not-registered', true)
const labels = (entries: readonly MenuEntry[]): string[] =>
  entries.flatMap((entry) => (entry.kind === 'separator' ? [] : [entry.label]))
const action = (entries: readonly MenuEntry[], name: string) =>
  entries.find((entry) => entry.kind === 'action' && entry.action === name)

const LOOKS: [AppState, TrayShape, string][] = [
  ['stopped', 'stopped', 'stopped'],
  ['stopping', 'stopped', 'stopping'],
  ['starting', 'starting', 'starting'],
  ['ready', 'ready', 'ready'],
  ['dispatching', 'working', 'working'],
  ['resetting', 'resetting', 'resetting'],
  ['degraded', 'degraded', 'degraded'],
  ['failed', 'error', 'error'],
]

describe('the icon', () => {
  it.each(LOOKS)('of a sandbox that is %s is the shape %s and says %s', (state, shape, word) => {
    expect(shapeOf({ state })).toBe(shape)
    expect(tooltipOf({ state, message: 'Why it is so.' })).toBe(`Brainstorm Sandbox: ${word}. Why it is so.`)
    expect(labels(menuOf(snapshot({ state }), DISABLED, { kind: 'off' }))[0]).toBe(
      `Brainstorm Sandbox is ${word}`,
    )
  })

  it('says something else of every state', () => {
    expect(LOOKS.map(([state]) => state).sort()).toEqual([...AppState.options].sort())
    expect(new Set(LOOKS.map(([, , word]) => word)).size).toBe(LOOKS.length)
  })

  it('has a shape for every state, and every shape is of some state', () => {
    expect(new Set(AppState.options.map((state) => shapeOf({ state })))).toEqual(new Set(TRAY_SHAPES))
  })

  it('says the state in words, on one line, whatever a guest put into it', () => {
    expect(tooltipOf({ state: 'dispatching', message: 'Running sh for me.' })).toBe(
      'Brainstorm Sandbox: working. Running sh for me.',
    )
    const hostile = `a\u202eb\u0007c\n\n${'x'.repeat(500)}`
    expect(tooltipOf({ state: 'failed', message: hostile })).toMatch(
      /^Brainstorm Sandbox: error\. a b c x+…$/,
    )
    expect(tooltipOf({ state: 'failed', message: hostile }).length).toBeLessThan(240)
  })
})

describe('the menu', () => {
  it.each<[UpdateState, string | undefined, boolean]>([
    [{ kind: 'off' }, undefined, false],
    [{ kind: 'idle' }, 'Check for Updates', true],
    [{ kind: 'available', version: '2.0.0' }, 'Download Version 2.0.0', true],
    [{ kind: 'downloading', version: '2.0.0', percent: 41.9 }, 'Downloading Version 2.0.0: 41 %', false],
    [{ kind: 'ready', version: '2.0.0' }, 'Stop the VM and Install Version 2.0.0', true],
    [{ kind: 'installing', version: '2.0.0' }, 'Installing Version 2.0.0…', false],
  ])('offers the next step of an update: %j', (update, label, enabled) => {
    const entry = action(menuOf(snapshot({}), DISABLED, update), 'update')
    expect(entry === undefined ? undefined : 'label' in entry && entry.label).toBe(label)
    if (entry?.kind === 'action') expect(entry.enabled).toBe(enabled)
  })

  it('has the essentials', () => {
    expect(labels(menuOf(snapshot({}), DISABLED, { kind: 'off' }))).toEqual([
      'Brainstorm Sandbox is ready',
      'Ready for a dispatch.',
      'Open Brainstorm Sandbox',
      'Stop the VM',
      'Wipe the VM Now',
      'Settings…',
      'Launch at Login',
      'About Brainstorm Sandbox',
      'Quit Brainstorm Sandbox',
    ])
  })

  it('offers to start a VM that is down, and to wipe only one that is ready', () => {
    for (const state of ['stopped', 'failed'] as const) {
      const menu = menuOf(snapshot({ state }), DISABLED, { kind: 'off' })
      expect(action(menu, 'start')).toMatchObject({ enabled: true })
      expect(action(menu, 'stop')).toBeUndefined()
      expect(action(menu, 'reset')).toMatchObject({ enabled: false })
    }
    expect(
      action(menuOf(snapshot({ state: 'dispatching' }), DISABLED, { kind: 'off' }), 'reset'),
    ).toMatchObject({
      enabled: false,
    })
  })

  it('leads to what disagreed when degraded', () =>
    expect(labels(menuOf(snapshot({ state: 'degraded' }), DISABLED, { kind: 'off' }))).toContain(
      'Look at What Disagreed…',
    ))

  it('says why the helper last ended', () => {
    const last_crash = 'The helper was killed by SIGKILL.'
    expect(labels(menuOf(snapshot({ last_crash }), DISABLED, { kind: 'off' }))).toContain(
      `Last failure: ${last_crash}`,
    )
    const message = `${last_crash} Starting a new one.`
    expect(
      labels(menuOf(snapshot({ state: 'starting', message, last_crash }), DISABLED, { kind: 'off' })).join(),
    ).not.toContain('Last failure')
  })
})

describe('launch at login', () => {
  it('is checked when it is on', () =>
    expect(
      action(menuOf(snapshot({}), describeLogin('enabled', true), { kind: 'off' }), 'toggle_login'),
    ).toMatchObject({
      checked: true,
    }))
  it('leads to System Settings when macOS wants to be asked', () => {
    const item = describeLogin('requires-approval', true)
    expect(item.message).toContain('Login Items')
    expect(labels(menuOf(snapshot({}), item, { kind: 'off' }))).toContain(
      'Allow Launch at Login in System Settings…',
    )
  })
  it('is not offered where there is none: in a checkout, and on Linux', () => {
    for (const item of [describeLogin('enabled', false), describeLogin(undefined, true)]) {
      expect(item.status).toBe('unavailable')
      expect(labels(menuOf(snapshot({}), item, { kind: 'off' })).join()).not.toContain('Login')
    }
  })
})
