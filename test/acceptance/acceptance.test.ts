import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { helperBinary } from '../support/helper-binary.ts'
import { freshImage, repository } from '../support/image.ts'
import { markdown, type Report } from './report.ts'

const DEADLINE_MS = 300_000

const accept = (...args: string[]) =>
  spawnSync(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'main.ts'), ...args], {
    cwd: repository,
    encoding: 'utf8',
    timeout: DEADLINE_MS,
  })

/** The command for Macs, rehearsed here: the same steps, with the stand-in behind. */
describe('mac:acceptance on the stand-in', () => {
  const out = mkdtempSync(join(tmpdir(), 'bsm-acceptance-'))
  let run: ReturnType<typeof accept>
  let report: Report
  beforeAll(async () => {
    await Promise.all([helperBinary('vz'), freshImage()])
    run = accept('--stand-in', '--restores', '2', '--resets', '1', '--cold-resets', '1', '--out', out)
    report = JSON.parse(readFileSync(join(out, 'report.json'), 'utf8')) as Report
  }, DEADLINE_MS + 60_000)
  afterAll(() => rmSync(out, { recursive: true }))

  it('passes every step that needs no Mac', () => {
    const failed = report.outcomes.filter(({ verdict }) => verdict === 'failed')
    expect(failed, run.stderr).toEqual([])
    expect(run.status).toBe(0)
    expect(report.outcomes.filter(({ verdict }) => verdict === 'not run').map(({ id }) => id)).toEqual([
      'signature',
    ])
  })

  it('says in the report, and on the screen, that this was no Mac', () => {
    const page = readFileSync(join(out, 'report.md'), 'utf8')
    expect(report.is_mac).toBe(false)
    expect(page).toMatch(/^# Acceptance rehearsed on the stand-in\n\n\*\*This was no Mac\.\*\*/)
    expect(run.stderr).toMatch(/This is no Mac/)
    expect(run.stdout).toMatch(/\(no Mac\)/)
  })

  it('judges no time of an emulated VM', () => {
    const timed = report.outcomes.filter(({ facts }) => 'target_ms' in facts)
    expect(timed.map(({ id }) => id)).toEqual(['fast-resets', 'cold-resets'])
    for (const { facts } of timed) expect(facts['reached']).toBe('not judged: no Mac')
  })

  it('names the machine, the commit and the image, and no one', () => {
    expect(report.commit).toMatch(/^[0-9a-f]{40}/)
    expect(report.image_digest).toMatch(/^sha256:/)
    expect(report.machine).toMatch(/linux/)
  })
})

describe('mac:acceptance', () => {
  it('is not run for a rehearsal by mistake', () => {
    const { status, stderr } = accept()
    expect(stderr).toMatch(/This is no Mac: run it on one, or with --stand-in/)
    expect(status).toBe(2)
  })

  it('explains itself', () => {
    const { status, stdout } = accept('--help')
    expect(stdout).toMatch(/--stand-in/)
    expect(status).toBe(0)
  })

  it('writes a table that no text of a step breaks', () => {
    const page = markdown({
      is_mac: true,
      at: '2026-01-01T00:00:00Z',
      machine: 'Mac',
      commit: 'c',
      image_digest: 'd',
      outcomes: [
        { id: 'a', title: 'A', verdict: 'failed', ms: 1_500, facts: {}, reason: 'one | two\n  three' },
        { id: 'b', title: 'B', verdict: 'passed', ms: 40, facts: { p50_ms: 12, parallel: true } },
      ],
    })
    expect(page).toMatch(/^# Acceptance on a Mac\n/)
    expect(page).not.toMatch(/no Mac/)
    expect(page).toContain('| ✗ | A | 1.5 | one \\| two three |')
    expect(page).toContain('| ✓ | B | 0.0 | p50_ms: 12; parallel: true |')
    expect(page).toContain('1 passed, 1 failed, 0 not run')
  })
})
