import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { axe, complaintsOf, launchBrowser } from '../ui/browser.ts'
import { allCells, sections, tally, verdict, type Trial } from './facts.ts'
import { everything, gateReport, HOSTILE, item, trial, wear } from './fixture.ts'
import { page } from './page.ts'
import { figure } from './series-plot.ts'
import { terminalTable } from './terminal-table.ts'
import { images } from './validation.ts'

/** Every text of a report is what a hostile tool printed. */
function hostile(): Trial[] {
  const of = (helper: 'qemu' | 'vz', outcome: 'broken' | 'not run') =>
    gateReport({
      helper,
      accelerator: HOSTILE,
      commit: HOSTILE,
      machine: { ...gateReport().machine, cpu: HOSTILE, host_os: HOSTILE },
      series: wear(120, 1).map((series) => ({ ...series, title: HOSTILE, unit: HOSTILE })),
      items: [
        item(HOSTILE, {
          group: HOSTILE,
          promise: HOSTILE,
          attacker: HOSTILE,
          reason: HOSTILE,
          outcome,
          status_ms: [1, 2, 3],
        }),
        item('held', { group: HOSTILE, reason: HOSTILE }),
      ],
    })
  return [
    trial(of('qemu', 'broken')),
    trial(of('vz', 'not run')),
    { job: { gate: 'chaos', helper: 'vz' }, report: null, why: HOSTILE },
  ]
}

describe('the page of the gates', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchBrowser()
  })
  afterAll(() => browser.close())

  async function shown(html: string, options: { width?: number; colorScheme?: 'light' | 'dark' } = {}) {
    const { width = 1_100, colorScheme = 'light' } = options
    const shownPage = await browser.newPage({ viewport: { width, height: 900 }, colorScheme })
    const asked: string[] = []
    shownPage.on('request', ({ url }) => asked.push(url()))
    const complaints = complaintsOf(shownPage)
    let dialogs = 0
    shownPage.on('dialog', (dialog) => {
      dialogs += 1
      void dialog.dismiss()
    })
    await shownPage.setContent(html)
    return { page: shownPage, asked, complaints, dialogs: () => dialogs }
  }

  it('shows what a hostile tool printed, wherever it stands, and obeys none of it', async () => {
    const { page: one, asked, complaints, dialogs } = await shown(page(hostile()))
    const foreign = await one.evaluate(`[...document.querySelectorAll('*')].flatMap((element) =>
      [...element.attributes].filter(({ name }) => name.startsWith('on') || name === 'href' || name === 'src').map(({ name }) => name)
        .concat(/^(script|img|a|iframe|object|link|base|form)$/i.test(element.tagName) ? [element.tagName] : []))`)
    expect(foreign).toEqual([])
    expect(await one.locator('pre').first().textContent()).toContain('</pre><script>alert(1)</script>')
    expect(await one.content()).not.toMatch(/[\u0000\u001b\u202e]/)
    expect([asked, complaints, dialogs()]).toEqual([[], [], 0])
    await one.close()
  })

  it('draws pictures that are XML, whatever the titles are', async () => {
    const one = await browser.newPage()
    for (const { file, svg } of Object.values(images(hostile())).flat()) {
      const error = await one.evaluate<string | null>(
        `new DOMParser().parseFromString(${JSON.stringify(svg)}, 'image/svg+xml').querySelector('parsererror')?.textContent ?? null`,
      )
      expect(error, file).toBeNull()
      expect(svg, file).not.toMatch(/NaN|Infinity|undefined/)
    }
    await one.close()
  })

  for (const colorScheme of ['light', 'dark'] as const)
    it(`is read by everyone and fits a phone, ${colorScheme}`, async () => {
      for (const width of [1_100, 360]) {
        const { page: one, complaints } = await shown(page(everything()), { width, colorScheme })
        if (width > 400) expect(await axe(one)).toEqual([])
        expect(await one.evaluate('document.documentElement.scrollWidth')).toBe(width)
        expect(complaints).toEqual([])
        await one.close()
      }
    })

  it('begins with the verdict, and names what broke and what was not run with the reason', async () => {
    const { page: one } = await shown(page(everything()))
    expect(await one.getByRole('heading', { level: 1 }).textContent()).toBe('1 promise broken.')
    const listed = one.locator('section').first()
    expect(await listed.textContent()).toContain('Chaos, vz on its stand-in')
    expect(await listed.textContent()).toContain('the stand-in speaks no QMP')
    await one.close()
  })
})

describe('the verdict over all gates', () => {
  const whole = (...items: Parameters<typeof item>[]): Trial =>
    trial(gateReport({ items: items.map((args) => item(...args)) }))

  it('is that all held only if everything was run and held', () => {
    expect(verdict([whole(['a'], ['b'])])).toEqual({ kind: 'held', sentence: 'All 2 promises held' })
  })

  it('never counts what was not run as held, be it a promise or a gate', () => {
    const notRun = whole(['a'], ['b', { outcome: 'not run', count: 5 }])
    const gone: Trial = { job: { gate: 'chaos', helper: 'vz' }, report: null, why: 'it crashed' }
    expect(tally(allCells([notRun]))).toEqual({ held: 1, broken: 0, 'not run': 1, tries: 1 })
    expect(verdict([notRun])).toEqual({
      kind: 'not run',
      sentence: 'Nothing broke, but 1 promise was not run',
    })
    expect(verdict([whole(['a']), gone])).toEqual({
      kind: 'not run',
      sentence: 'Nothing broke, but chaos on vz was not run',
    })
    expect(verdict([gone])).toEqual({ kind: 'not run', sentence: 'Nothing was run' })
    expect(verdict([whole(['a', { outcome: 'not run' }])]).sentence).toBe('Nothing was run')
    expect(page([notRun])).not.toContain('All 1 promises held')
    expect(terminalTable([gone])).toContain('not run: it crashed')
  })

  it('is broken by one that broke, whatever held', () => {
    expect(verdict([whole(['a'], ['b', { outcome: 'broken' }])])).toEqual({
      kind: 'broken',
      sentence: '1 promise broken',
    })
  })

  it('has a column for each run, where what one has and the other has not was not run there', () => {
    const both = [
      trial(gateReport({ items: [item('a'), item('b')] })),
      trial(gateReport({ helper: 'vz', items: [item('b', { outcome: 'broken' })] })),
    ]
    const [red] = sections(both)
    expect(red?.groups[0]?.rows.map(({ id, cells }) => [id, ...cells.map(({ outcome }) => outcome)])).toEqual(
      [
        ['a', 'held', 'not run'],
        ['b', 'held', 'broken'],
      ],
    )
  })
})

describe('a figure', () => {
  it('has its unit, and the minus of its slope beside it', () => {
    expect(
      [figure(-6.53, 'ms'), figure(-177.4, 'MiB'), figure(52_353.3, 'KiB'), figure(6, '')].map((said) =>
        said.replace(/\p{Zs}/gu, ' '),
      ),
    ).toEqual(['−6.5 ms', '−177 MiB', '52 353 KiB', '6'])
  })
})
