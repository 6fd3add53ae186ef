import type { Page } from 'playwright-core'
import type { WindowKind, WireError } from '../../core/protocol/index.ts'
import { evidenceVerdict, illness, noLogs, ran } from '../../renderer/fixtures/answers.ts'
import { RUNNING_ID } from '../../renderer/fixtures/dispatches.ts'
import type { every } from '../../renderer/fixtures/snapshots.ts'
import { failing, silent, usualAnswers, type Answering, type FixturePage } from './fixture-page.ts'

/** What the page can look like, by name: each view, each state, and what opens in them. */
export type Scene = {
  state: keyof typeof every
  size?: Size
  window?: WindowKind
  answer?: Answering
  /** Brings the page there, with the hands of a person. */
  arrange?: (shown: FixturePage) => Promise<void>
}
export type Size = keyof typeof SIZES

export const SIZES = {
  popover: { width: 420, height: 704 },
  window: { width: 960, height: 720 },
  page: { width: 1280, height: 900 },
}

const REFUSED: WireError = {
  code: 'INTERNAL_BUG',
  layer: 'app',
  message: 'The file `settings.json` could not be read.',
  next_step: 'Look at what `bsm doctor` says about the state directory.',
  details: 'EACCES: permission denied, open settings.json',
}

const view = (page: Page, name: string) => page.getByRole('tab', { name }).click()
const to =
  (name: string) =>
  async ({ page }: FixturePage) => {
    await view(page, name)
    await page.locator('.waiting').first().waitFor({ state: 'detached' })
  }
const waiting =
  (name: string, words: string) =>
  async ({ page }: FixturePage) => {
    await view(page, name)
    await page.getByText(words).waitFor()
  }
const answering =
  (action: string, result: unknown): Answering =>
  (request) =>
    request.action === action ? { result } : usualAnswers(request)
const done: Answering = (request) =>
  request.action === 'run'
    ? { result: ran(request.command_id ?? '') }
    : request.action === 'verify_evidence'
      ? { result: evidenceVerdict(request.command_id) }
      : usualAnswers(request)

const runIt = async ({ page }: FixturePage) => {
  const form = page.getByRole('region', { name: 'Run a tool' })
  await form.getByRole('button', { name: 'Which kernel?' }).click()
  await form.getByRole('button', { name: 'Run', exact: true }).click()
}
const sayLive = (shown: FixturePage, command_id: string) => {
  for (let seq = 1; seq <= 6; seq += 1)
    shown.send({
      type: 'output',
      command_id,
      stream: seq === 4 ? 'stderr' : 'stdout',
      data_b64: Buffer.from(seq === 4 ? 'warning: no network\n' : `test ${seq} of 40 passed\n`).toString(
        'base64',
      ),
      seq,
    })
}
const chart = async (shown: FixturePage) => {
  await to('Resets')(shown)
  await shown.page.getByRole('slider').waitFor()
}
const open = (name: RegExp) => async (shown: FixturePage) => {
  await view(shown.page, 'Dispatches')
  await shown.page.getByRole('button', { name }).first().click()
}

export const scenes: Record<string, Scene> = {
  overview: { state: 'ready' },
  'overview-running': { state: 'dispatching' },
  'overview-resetting': { state: 'resetting' },
  'overview-empty': { state: 'empty' },
  'overview-starting': { state: 'starting' },
  'overview-stopped': { state: 'stopped' },
  'overview-failed': { state: 'failed' },
  'overview-cold': { state: 'cold' },
  'overview-cut-off': {
    state: 'ready',
    arrange: async (shown) => {
      await shown.loseConnection()
      await shown.page.getByText('The connection to the app is lost.').waitFor()
    },
  },
  run: { state: 'ready', arrange: to('Run') },
  'run-many-fields': {
    state: 'ready',
    arrange: async (shown) => {
      await to('Run')(shown)
      await shown.page.getByLabel('Tool', { exact: true }).selectOption('fs.read')
      await shown.page.getByRole('button', { name: 'Run', exact: true }).click()
    },
  },
  'run-running': {
    state: 'dispatching',
    arrange: async (shown) => {
      await to('Run')(shown)
      await runIt(shown)
      await shown.page.getByText('Running', { exact: true }).last().waitFor()
      const asked = shown.requests.find((request) => request.action === 'run')
      sayLive(shown, asked?.action === 'run' ? (asked.command_id ?? '') : '')
      await shown.page.getByText('test 6 of 40 passed').waitFor()
    },
  },
  'run-done': {
    state: 'ready',
    answer: done,
    arrange: async (shown) => {
      await to('Run')(shown)
      await runIt(shown)
      await shown.page.getByRole('button', { name: 'Verify' }).click()
      await shown.page.getByText('Recomputed from 3 chunks: the same.').waitFor()
    },
  },
  'run-failed': {
    state: 'ready',
    answer: failing('run', REFUSED),
    arrange: async (shown) => {
      await to('Run')(shown)
      await runIt(shown)
      await shown.page.getByText(REFUSED.code).waitFor()
    },
  },
  'run-starting': { state: 'starting', arrange: to('Run') },
  dispatches: { state: 'ready', arrange: to('Dispatches') },
  'dispatches-live': {
    state: 'dispatching',
    arrange: async (shown) => {
      await open(/^sh claude-code/)(shown)
      sayLive(shown, RUNNING_ID)
      await shown.page.getByText('test 6 of 40 passed').waitFor()
    },
  },
  'dispatches-hostile': { state: 'ready', arrange: open(/exit 1/) },
  'dispatches-timed-out': { state: 'ready', arrange: open(/timed out/) },
  'dispatches-empty': { state: 'empty', arrange: to('Dispatches') },
  resets: { state: 'ready', arrange: chart },
  'resets-cold': { state: 'cold', arrange: chart },
  'resets-empty': { state: 'empty', arrange: to('Resets') },
  'resets-verification': {
    state: 'ready',
    arrange: async (shown) => {
      await chart(shown)
      await shown.page.getByText('Its verification').click()
    },
  },
  logs: { state: 'ready', arrange: to('Logs') },
  'logs-console': {
    state: 'ready',
    arrange: async (shown) => {
      await to('Logs')(shown)
      await shown.page.getByRole('button', { name: 'Guest console' }).click()
      await shown.page.getByLabel('Search this log').fill('init')
      await shown.page.getByText('1 of 6 lines').waitFor()
    },
  },
  'logs-audit': {
    state: 'ready',
    arrange: async (shown) => {
      await to('Logs')(shown)
      await shown.page.getByRole('button', { name: 'Audit' }).click()
      await shown.page.getByText('vm_booted').waitFor()
    },
  },
  'logs-empty': {
    state: 'ready',
    answer: (request) =>
      request.action === 'logs' ? { result: noLogs(request.source) } : usualAnswers(request),
    arrange: to('Logs'),
  },
  'logs-waiting': { state: 'ready', answer: silent('logs'), arrange: waiting('Logs', 'Reading the log.') },
  'logs-failed': { state: 'ready', answer: failing('logs', REFUSED), arrange: to('Logs') },
  diagnostics: { state: 'ready', arrange: to('Diagnostics') },
  'diagnostics-wrong': { state: 'ready', answer: answering('diagnose', illness), arrange: to('Diagnostics') },
  'diagnostics-waiting': {
    state: 'ready',
    answer: silent('diagnose'),
    arrange: waiting('Diagnostics', 'Checking this machine and the app.'),
  },
  settings: { state: 'ready', arrange: to('Settings') },
  'settings-window': {
    state: 'ready',
    size: 'window',
    window: 'settings',
    arrange: ({ page }) => page.getByRole('switch', { name: 'Start when I log in' }).waitFor(),
  },
  'settings-token': {
    state: 'ready',
    arrange: async (shown) => {
      await to('Settings')(shown)
      await shown.page.getByLabel('New agent').fill('my-agent')
      await shown.page.getByRole('button', { name: 'Give access' }).click()
      await shown.page.getByText('The token of my-agent').scrollIntoViewIfNeeded()
    },
  },
  'settings-revoke': {
    state: 'ready',
    arrange: async (shown) => {
      await to('Settings')(shown)
      await shown.page.getByRole('button', { name: 'Revoke codex' }).click()
      await shown.page.getByRole('alertdialog').waitFor()
    },
  },
  'settings-failed': { state: 'ready', answer: failing('settings', REFUSED), arrange: to('Settings') },
  welcome: { state: 'firstRun' },
  'welcome-starting': { state: 'firstStart' },
  divergence: { state: 'degraded' },
  'divergence-silent': { state: 'silent' },
  'page-ready': { state: 'ready', size: 'page', answer: done, arrange: runIt },
  'page-running': { state: 'dispatching', size: 'page' },
  'page-empty': { state: 'empty', size: 'page' },
  'page-stopped': { state: 'stopped', size: 'page' },
  'page-failed': { state: 'failed', size: 'page' },
  'page-divergence': { state: 'degraded', size: 'page' },
  'page-welcome': { state: 'firstRun', size: 'page' },
  'page-logs': { state: 'ready', size: 'page', arrange: to('Logs') },
  'page-diagnostics': { state: 'ready', size: 'page', arrange: to('Diagnostics') },
  'page-settings': { state: 'ready', size: 'page', arrange: to('Settings') },
}
