import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { gateReport, item } from './fixture.ts'
import { isGood, runJobs, type Surroundings } from './jobs.ts'
import { JOBS, PROGRAM, type Choice } from './plan.ts'
import { isStillTrue, readReport, reportPath, writeReport, type GateReport } from './report.ts'

describe('the runs of all gates', () => {
  let folder: string
  let started: string[]
  let code: string
  /** What a gate would leave; null: it crashes. */
  let leaves: Partial<GateReport> | null
  const signal = new AbortController().signal

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'bsm-gates-'))
    started = []
    code = 'aaaaaaaaaaaa'
    leaves = {}
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const around = (): Surroundings => ({
    folder,
    code: () => code,
    say: () => undefined,
    start: async (args) => {
      started.push(args.join(' '))
      if (leaves === null) return 1
      const [program = ''] = args
      const gate = JOBS.find((job) => program === PROGRAM[job.gate])?.gate ?? 'fuzz'
      const helper = JOBS.find((job) => args.includes(job.helper ?? 'none'))?.helper ?? null
      const made = gateReport({
        ...{ gate, helper, code, slice: args.includes('--slice') },
        ...leaves,
      })
      writeReport(reportPath(made, folder), made)
      return 0
    },
  })
  const run = (more: Partial<Choice & { fresh: boolean }> = {}, by: AbortSignal = signal) =>
    runJobs({ slice: false, helpers: [], only: [], fresh: false, ...more }, by, around())

  it('are of every gate, on both helpers', async () => {
    const { trials, wanted } = await run()
    expect(started).toEqual([
      'test/fuzz/main.ts',
      'test/redteam/main.ts --helper qemu',
      'test/redteam/main.ts --helper vz',
      'test/redteam/defects.ts --helper qemu',
      'test/chaos/main.ts --helper qemu',
      'test/chaos/main.ts --helper vz',
      'test/soak/main.ts --helper qemu',
      'test/soak/main.ts --helper vz',
    ])
    expect(wanted).toEqual(trials)
    expect(trials.every(isGood)).toBe(true)
  })

  it('are not made again while their reports are of these very files, unless that is asked for', async () => {
    await run()
    started = []
    await run()
    expect(started).toEqual([])
    await run({ fresh: true, only: ['fuzz'] })
    expect(started).toEqual(['test/fuzz/main.ts --fresh'])
    code = 'bbbbbbbbbbbb'
    await run({ only: ['fuzz'] })
    expect(started).toHaveLength(2)
  })

  it('that were cut off, or of a part, are made again', async () => {
    const kept = gateReport({ code })
    expect(isStillTrue(kept, code)).toBe(true)
    expect(isStillTrue({ ...kept, interrupted: true }, code)).toBe(false)
    expect(isStillTrue({ ...kept, asked: ['--only agents'] }, code)).toBe(false)
    // Where git says nothing, nobody knows what was run.
    expect(isStillTrue({ ...kept, code: 'unknown' }, 'unknown')).toBe(false)
    leaves = { interrupted: true }
    const { wanted } = await run({ only: ['fuzz'] })
    expect(wanted.every(isGood)).toBe(false)
    await run({ only: ['fuzz'] })
    expect(started).toHaveLength(2)
  })

  it('of a part lie beside the whole one', () => {
    const of = { gate: 'redteam', helper: 'vz', slice: false } as const
    expect(reportPath({ ...of, asked: [] }, '/r')).toBe('/r/redteam-vz.json')
    expect(reportPath({ ...of, asked: ['--only x'] }, '/r')).toBe('/r/redteam-vz-part.json')
    expect(reportPath({ ...of, slice: true, asked: [] }, '/r')).toBe('/r/redteam-vz-slice.json')
  })

  it('that leave no report have none, not that of the run before', async () => {
    await run({ only: ['fuzz'] })
    leaves = null
    const { wanted } = await run({ only: ['fuzz'], fresh: true })
    expect(wanted).toEqual([{ job: JOBS[0], report: null, why: 'it ended with 1 and left no report' }])
    expect(wanted.every(isGood)).toBe(false)
  })

  it('after Ctrl-C are not begun', async () => {
    const { wanted } = await run({ only: ['fuzz'] }, AbortSignal.abort())
    expect(started).toEqual([])
    expect(wanted).toEqual([{ job: JOBS[0], report: null, why: 'cut off before it began' }])
  })

  it('are not good with anything broken, nor with nothing held', () => {
    const of = (items: GateReport['items']) =>
      isGood({ job: { gate: 'fuzz', helper: null }, report: gateReport({ items }) })
    expect(of([item('a')])).toBe(true)
    expect(of([item('a'), item('b', { outcome: 'not run' })])).toBe(true)
    expect(of([item('a'), item('b', { outcome: 'broken' })])).toBe(false)
    expect(of([item('a', { outcome: 'not run' })])).toBe(false)
    expect(of([])).toBe(false)
  })

  it('that were not asked for keep their reports on the page', async () => {
    await run({ only: ['fuzz'] })
    const { trials, wanted } = await run({ only: ['soak'], helpers: ['qemu'] })
    expect(wanted.map(({ job }) => job)).toEqual([{ gate: 'soak', helper: 'qemu' }])
    expect(trials[0]?.report?.gate).toBe('fuzz')
    expect(trials.at(-1)).toMatchObject({ report: null, why: 'another helper was asked for' })
  })

  it('in a slice say what they leave out', async () => {
    const { trials, wanted } = await run({ slice: true })
    const left = trials.filter((one) => !wanted.includes(one))
    expect(left.length).toBeGreaterThan(0)
    for (const one of left) expect(one).toMatchObject({ report: null, why: one.job.notInSlice })
  })

  it('have reports of one shape: another version, or anything more, is no report', () => {
    const path = reportPath({ gate: 'fuzz', helper: null, slice: false, asked: [] }, folder)
    const written = (value: object) => {
      writeReport(path, value as GateReport)
      return readReport(path)
    }
    expect(readReport(path)).toBeNull()
    expect(written(gateReport())).toEqual(gateReport())
    expect(written({ ...gateReport(), schema: 'bsm-gate/2' })).toBeNull()
    expect(written({ ...gateReport(), verdict: 'fine' })).toBeNull()
    expect(written({ ...gateReport(), items: [{ ...item('a'), outcome: 'passed' }] })).toBeNull()
  })
})
