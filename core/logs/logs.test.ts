import { appendFileSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import type { Paths } from '../paths.ts'
import { temporaryPaths } from '../testing/fixture.ts'
import { parseLogLine } from './log-line.ts'
import { readLog } from './read-log.ts'

let paths: Paths
let console_: string
beforeEach(() => {
  paths = temporaryPaths()
  mkdirSync(paths.logsDir, { recursive: true })
  console_ = join(paths.logsDir, 'console.log')
})

const AT = '2026-01-02T03:04:05.000Z'
const lines = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, i) => `${AT} line ${from + i}\n`).join('')
const read = (query: { after?: string | null; before?: string | null } = {}) => {
  const { after, before } = query
  const page = readLog(paths, { source: 'console', after: after ?? undefined, before: before ?? undefined })
  return { ...page, texts: page.lines.map(({ text }) => text) }
}

describe('reading a log', () => {
  it('gives nothing where there is none', () => {
    expect(read()).toMatchObject({ lines: [], start: null, end: null, skipped: false })
  })

  it('gives its end, then what came after, then what stands before', () => {
    writeFileSync(console_, lines(0, 1_200))
    const tail = read()
    expect(tail.texts).toHaveLength(500)
    expect(tail.texts.at(-1)).toBe('line 1199')
    appendFileSync(console_, lines(1_200, 1_202))
    expect(read({ after: tail.end })).toMatchObject({ texts: ['line 1200', 'line 1201'], skipped: false })
    const older = read({ before: tail.start })
    expect(older.texts.at(0)).toBe('line 200')
    expect(older.texts.at(-1)).toBe('line 699')
    const oldest = read({ before: older.start })
    expect(oldest.texts).toHaveLength(200)
    expect(oldest.start).toBeNull()
  })

  it('waits for the rest of half a line', () => {
    writeFileSync(console_, `${lines(0, 1)}${AT} li`)
    const first = read()
    expect(first.texts).toEqual(['line 0'])
    appendFileSync(console_, 'ne 1\n')
    expect(read({ after: first.end }).texts).toEqual(['line 1'])
  })

  it('goes on over a rotation', () => {
    writeFileSync(console_, lines(0, 10))
    const { end } = read()
    appendFileSync(console_, lines(10, 12))
    renameSync(console_, `${console_}.1`)
    writeFileSync(console_, lines(12, 14))
    expect(read({ after: end }).texts).toEqual(['line 10', 'line 11', 'line 12', 'line 13'])
    expect(read().texts).toHaveLength(14)
  })

  it('says that it skipped when more was written than fits, or the place is gone', () => {
    writeFileSync(console_, lines(0, 10))
    const { end } = read()
    appendFileSync(console_, lines(10, 20_000))
    const flood = read({ after: end })
    expect(flood.skipped).toBe(true)
    expect(flood.texts).toHaveLength(500)
    expect(flood.texts.at(-1)).toBe('line 19999')
    expect(read({ after: '1.0' }).skipped).toBe(true)
  })

  it('stays bounded with one endless line', () => {
    writeFileSync(console_, `${AT} ${'x'.repeat(3_000_000)}`)
    expect(read().lines).toEqual([])
    appendFileSync(console_, '\n')
    expect(JSON.stringify(read()).length).toBeLessThan(300_000)
  })

  it('follows no link, and no cursor of another shape', () => {
    writeFileSync(join(paths.stateDir, 'elsewhere'), lines(0, 3))
    symlinkSync(join(paths.stateDir, 'elsewhere'), console_)
    expect(() => read()).toThrow('symbolic link')
    expect(() => read({ after: '../../etc/passwd' })).toThrow()
  })
})

describe('a line of a log', () => {
  it('of the app says who spoke and how loud', () => {
    const line = `{"level":50,"time":"${AT}","from":"helper","msg":"It ended."}`
    expect(parseLogLine('app', line)).toEqual({ at: AT, level: 'error', from: 'helper', text: 'It ended.' })
  })

  it('of the audit log says its facts without the chain', () => {
    const line = `{"client":"codex","hash":"sha256:00","kind":"client_added","prev":null,"seq":4,"ts":"${AT}"}`
    expect(parseLogLine('audit', line)).toEqual({
      at: AT,
      level: 'info',
      from: 'client_added',
      text: 'client=codex',
    })
  })

  it('that is not what it should be is shown as it is, and cut', () => {
    expect(parseLogLine('audit', '{')).toMatchObject({ level: 'error', from: 'unreadable', text: '{' })
    expect(parseLogLine('console', 'x'.repeat(10_000)).text).toHaveLength(4_098)
  })
})
