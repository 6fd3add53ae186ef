import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { item } from './fixture.ts'
import { inTurn, type How } from './in-turn.ts'
import { readReport, reportPath, writeReport, type GateReport, type Item } from './report.ts'

const OF = { gate: 'chaos', helper: 'vz', accelerator: 'tcg', slice: false } as const
const NAMES = ['a', 'b', 'c']
const FILES = { commit: 'now', code: 'of these files' }

describe('a gate that does one thing after the other', () => {
  let folder: string
  let done: string[]
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'bsm-in-turn-'))
    done = []
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  type Asked = Partial<How> & {
    code?: string
    asked?: string[]
    cutAt?: string
    outcomes?: Record<string, Item['outcome']>
  }
  const run = ({
    code = FILES.code,
    asked = [],
    cutAt,
    outcomes = {},
    ...how
  }: Asked = {}): Promise<GateReport> => {
    const interrupt = new AbortController()
    return inTurn(
      OF,
      NAMES.map((id) => ({ id })),
      { fresh: false, 'keep-held': false, ...how },
      { signal: interrupt.signal, progress: () => undefined, asked, files: { ...FILES, code } },
      [
        async ({ id }) => {
          if (id === cutAt) interrupt.abort()
          if (interrupt.signal.aborted) return item(id, { outcome: 'not run', reason: 'cut off' })
          done.push(id)
          return item(id, { outcome: outcomes[id] ?? 'held', reason: `try ${done.length}` })
        },
      ],
      folder,
    )
  }
  const path = (asked: string[] = []) => reportPath({ ...OF, asked }, folder)
  const kept = (): GateReport => {
    const report = readReport(path())
    if (report === null) throw new Error('there is no report')
    return report
  }
  /** As whoever runs the gate leaves it. */
  const leave = (report: GateReport, more: Partial<GateReport> = {}) =>
    writeReport(path(report.asked), { ...report, ...more })

  it('keeps a report after each, which says that it is not whole', async () => {
    await expect(
      inTurn(
        OF,
        NAMES.map((id) => ({ id })),
        { fresh: false, 'keep-held': false },
        { signal: new AbortController().signal, progress: () => undefined, asked: [], files: FILES },
        [
          async ({ id }) => {
            if (id === 'c') throw new Error('a crash')
            return item(id)
          },
        ],
        folder,
      ),
    ).rejects.toThrow('a crash')
    expect(kept()).toMatchObject({ interrupted: true, items: [{ id: 'a' }, { id: 'b' }] })
  })

  it('goes on where it was cut off, and says when it began', async () => {
    const cut = await run({ cutAt: 'c', outcomes: { b: 'broken' } })
    expect(cut).toMatchObject({ interrupted: true, items: [{}, {}, { outcome: 'not run' }] })
    leave(cut)
    const whole = await run()
    expect(done).toEqual(['a', 'b', 'c'])
    expect(whole).toMatchObject({ interrupted: false, started_at: cut.started_at })
    expect(whole.items.map(({ outcome }) => outcome)).toEqual(['held', 'broken', 'held'])
  })

  it('begins anew after its end, with other files, with other options, and when told to', async () => {
    leave(await run())
    await run()
    expect(done).toHaveLength(6)
    leave(await run({ cutAt: 'c' }), { code: 'of other files' })
    done = []
    await run({ cutAt: 'c' })
    expect(done).toEqual(['a', 'b'])
    leave(kept())
    done = []
    await run({ cutAt: 'c', code: 'unknown' })
    leave(kept())
    await run({ cutAt: 'c', code: 'unknown' })
    expect(done).toEqual(['a', 'b', 'a', 'b'])
    done = []
    await run({ asked: ['--only x'], cutAt: 'c' })
    await run({ fresh: true })
    expect(done).toEqual(['a', 'b', 'a', 'b', 'c'])
  })

  it('runs again what did not hold alone, if asked to, and says of which commit the rest is', async () => {
    leave(await run({ outcomes: { b: 'broken' } }), { code: 'of other files', commit: 'before' })
    done = []
    const again = await run({ 'keep-held': true })
    expect(done).toEqual(['b'])
    expect(again.items.map(({ id, commit }) => [id, commit])).toEqual([
      ['a', 'before'],
      ['b', undefined],
      ['c', 'before'],
    ])
  })

  it('does things at once where it has lanes, and reports them in their order', async () => {
    let release: () => void = () => undefined
    const isDone = new Promise<void>((resolve) => (release = resolve))
    const first = async ({ id }: { id: string }) => {
      await isDone
      return item(id)
    }
    const second = async ({ id }: { id: string }) => {
      done.push(id)
      if (done.length === 2) release()
      return item(id)
    }
    const report = await inTurn(
      OF,
      NAMES.map((id) => ({ id })),
      { fresh: false, 'keep-held': false },
      { signal: new AbortController().signal, progress: () => undefined, asked: [], files: FILES },
      [first, second],
      folder,
    )
    expect(done).toEqual(['b', 'c'])
    expect(report.items.map(({ id }) => id)).toEqual(NAMES)
  })
})
