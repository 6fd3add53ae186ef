import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { check, resolveConfig } from 'prettier'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { everything, gateReport, HOSTILE, item, trial } from './fixture.ts'
import { repository } from '../support/image.ts'
import { readReport } from './report.ts'
import { inMarkdown, writeDocs } from './validation.ts'

describe('docs/validation.md', () => {
  let docs: string
  beforeEach(() => (docs = mkdtempSync(join(tmpdir(), 'bsm-docs-'))))
  afterEach(() => rmSync(docs, { recursive: true }))

  it('is made of the reports beside it, in the house’s format, with every picture that it shows', async () => {
    const path = await writeDocs(everything(), docs)
    const text = readFileSync(path, 'utf8')
    const style = await resolveConfig(join(repository, 'docs/validation.md'))
    expect(await check(text, { ...style, filepath: path })).toBe(true)
    const shown = [...text.matchAll(/\]\(((?:images|validation)\/[^)]+)\)/g)].map(([, file = '']) => file)
    expect(shown.length).toBeGreaterThan(8)
    for (const file of shown) expect(existsSync(join(docs, file)), file).toBe(true)
    for (const name of readdirSync(join(docs, 'validation')))
      expect(readReport(join(docs, 'validation', name)), name).not.toBeNull()
  })

  it('names each broken and each not run promise with its consequence', async () => {
    const text = readFileSync(await writeDocs(everything(), docs), 'utf8')
    expect(text).toMatch(/^### `agents\.4`, Red team, QEMU\n\nConsequence: this is not kept: /m)
    for (const n of [1, 2, 3, 4, 5])
      expect(text).toMatch(
        new RegExp(`\`output-as-attack\\.${n}\` *\\| Red team, vz on its stand-in *\\|.*shown on QEMU alone`),
      )
    expect(text).toContain('Chaos, vz on its stand-in: it left no report. Consequence:')
  })

  it('counts what a run took over with the time that it took, and under the commit that it was tried on', async () => {
    const kept = [item('b', { ms: 3_600_000, commit: 'before' }), item('c', { commit: '0123456789ab' })]
    const report = gateReport({ seconds: 60, items: [item('a'), ...kept] })
    const text = readFileSync(await writeDocs([trial(report)], docs), 'utf8')
    expect(text).toMatch(/\| 1 h 01 min *\| `0123456789ab, 1 on before` *\|/)
  })

  it('names the promises that were slow to tell a status, which all together would hide, and counts the silent', async () => {
    const report = gateReport({
      items: [
        item('quick', { status_ms: Array.from({ length: 1_000 }, () => 2) }),
        item('slow', { status_ms: [10, 900, 900] }),
        item('silent', { status_ms: [] }),
        item('skipped', { status_ms: [], outcome: 'not run' }),
      ],
    })
    const text = readFileSync(await writeDocs([trial(report)], docs), 'utf8')
    expect(text).toContain(
      'p99 2.0 ms (goal 250 ms); 1 promise has a p99 above it: `slow` 900 ms of 3; 1 of 3 promises was tried without one.',
    )
  })

  it('lets no text of a report be more than text', async () => {
    const report = gateReport({
      items: [
        item(HOSTILE, {
          group: HOSTILE,
          promise: HOSTILE,
          reason: `${HOSTILE}\n\`\`\`\n# out`,
          outcome: 'broken',
        }),
        item('b', { promise: HOSTILE, reason: HOSTILE, outcome: 'not run' }),
      ],
    })
    const text = readFileSync(await writeDocs([trial(report)], docs), 'utf8')
    // What broke is shown as it was printed, in a block of code that only its own fence ends.
    const [, fence = ''] = /^(`{3,})text$/m.exec(text) ?? []
    const [before = '', , after = ''] = text.split(new RegExp(`^${fence}(?:text)?$`, 'm'))
    const outside = before + after
    expect(fence).toBe('````')
    expect(outside).not.toMatch(/<(?!\/?(details|summary)>)/)
    expect(outside).not.toMatch(/\]\(javascript/)
    expect(text).not.toMatch(/[\u0000\u001b\u202e]/)
    for (const table of outside.matchAll(/(?:^\|.*\n)+/gm)) {
      const widths = table[0]
        .trim()
        .split('\n')
        .map((row) => row.split('|').length)
      expect(new Set(widths).size, table[0]).toBe(1)
    }
  })

  it('keeps nothing of an earlier run', async () => {
    await writeDocs(everything(), docs)
    writeFileSync(join(docs, 'images/benchmark.svg'), '')
    await writeDocs([trial(gateReport())], docs)
    expect(readdirSync(join(docs, 'validation'))).toEqual(['redteam-qemu.json'])
    expect(readdirSync(join(docs, 'images'))).toEqual([
      'benchmark.svg',
      'validation-outcomes.svg',
      'validation-times.svg',
    ])
  })

  it('escapes what Markdown would obey, on one line', () => {
    expect(inMarkdown('a | b\n*c* <d>')).toBe('a &#124; b ⏎ &#42;c&#42; &#60;d&#62;')
  })
})
