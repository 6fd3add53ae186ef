import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { executed, keptInputs } from './go.ts'
import { passed } from '../gates/report.ts'
import { fuzz } from './run.ts'
import { must } from '../gates/broken.ts'
import { asProperty, type Target } from './target.ts'
import { honest } from './targets/evidence.ts'
import { expectedLines } from './targets/ndjson.ts'

const run = { signal: new AbortController().signal, progress: () => undefined }

/** A parser that is wrong for some inputs alone. */
const target = (isWrongFor: (text: string) => boolean, dispose: () => void = () => undefined): Target => ({
  id: 'x',
  promise: 'The text is never wrong.',
  inputs: 5_000,
  property: () => asProperty(fc.property(fc.string(), (text) => must(!isWrongFor(text), 'it is wrong'))),
  dispose,
})

describe('the fuzzer', () => {
  it('counts what it ran of a parser that holds', async () => {
    const item = await fuzz(
      target(() => false),
      { seed: 1, scale: 1 },
      run,
    )
    expect(item).toMatchObject({ outcome: 'held', count: 5_000 })
  })

  it('finds a parser that is wrong now and then, with the way back to it', async () => {
    const item = await fuzz(
      target((text) => text.includes('"')),
      { seed: 1, scale: 1 },
      run,
    )
    expect(item.outcome).toBe('broken')
    expect(item.reason).toMatch(/it is wrong\nseed \d+, path [\d:]+: \["\\""\]/)
  })

  it('finds the same at the same place for the same seed', async () => {
    const wrong = target((text) => text.length === 7)
    const [one, two] = [
      await fuzz(wrong, { seed: 9, scale: 1 }, run),
      await fuzz(wrong, { seed: 9, scale: 1 }, run),
    ]
    expect([one.count, one.reason]).toEqual([two.count, two.reason])
  })

  it('says that it was cut off, and never that what it did not run has passed', async () => {
    let isDisposed = false
    const item = await fuzz(
      target(
        () => false,
        () => void (isDisposed = true),
      ),
      { seed: 1, scale: 1 },
      { ...run, signal: AbortSignal.abort() },
    )
    expect(item).toMatchObject({ outcome: 'not run', count: 0 })
    expect(isDisposed).toBe(true)
  })

  it('reads from what Go says how much it ran', () => {
    const output =
      'fuzz: elapsed: 3s, execs: 10523 (3507/sec)\nfuzz: elapsed: 4s, execs: 20000 (1/sec)\nPASS\n'
    expect(executed(output)).toBe(20_000)
    expect(executed('FAIL')).toBe(0)
    expect(keptInputs('=== RUN\n    --- PASS: FuzzParse/seed#0 (0.00s)\n--- PASS: FuzzParse (0.00s)\n')).toBe(
      1,
    )
  })
})

describe('a gate', () => {
  const items = async (...found: ('held' | 'broken' | 'not run')[]) => {
    const one = await fuzz(
      target(() => false),
      { seed: 1, scale: 0 },
      run,
    )
    return { items: found.map((outcome) => ({ ...one, outcome })) }
  }

  it('passes by what held, and never by what was not run', async () => {
    expect(passed(await items('held', 'not run'))).toBe(true)
    expect(passed(await items('held', 'broken'))).toBe(false)
    expect(passed(await items('not run'))).toBe(false)
    expect(passed(await items())).toBe(false)
  })
})

describe('what the properties are held against', () => {
  it('knows the lines of a stream', () => {
    const stream = Buffer.from(`one\r\n\n  \n${'x'.repeat(25)}\ntwo\n${'y'.repeat(24)}`)
    expect(expectedLines(stream)).toEqual([
      { kind: 'line', text: 'one' },
      { kind: 'too_long' },
      { kind: 'line', text: 'two' },
    ])
  })

  it('knows an honest chain', () => {
    const { chunks } = honest([{ stream: 1, text: 'a' }], 0)
    expect(chunks.map(({ seq, is_terminal }) => [seq, is_terminal])).toEqual([
      [1, false],
      [2, false],
      [3, true],
    ])
  })
})
