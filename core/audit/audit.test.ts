import { randomBytes } from 'node:crypto'
import {
  appendFileSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { temporaryDirectory } from '../testing/fixture.ts'
import { entryLine, openEntry, sealEntry } from './entry.ts'
import { HeadFile } from './head.ts'
import { AuditLog, verifyAudit, type AuditOptions } from './log.ts'

let options: AuditOptions

beforeEach(() => {
  const directory = temporaryDirectory()
  options = {
    logPath: join(directory, 'audit.jsonl'),
    headPath: join(directory, 'head'),
    key: randomBytes(32),
    now: () => new Date(0),
  }
})

const written = (entries: number): void => {
  const log = AuditLog.open(options)
  for (let n = 1; n <= entries; n += 1) log.append('reset', { n })
  log.close()
}
const linesOf = (): string[] => readFileSync(options.logPath, 'utf8').trimEnd().split('\n')
const rewrite = (lines: readonly string[]): void => writeFileSync(options.logPath, `${lines.join('\n')}\n`)
const kinds = (): string[] => linesOf().map((line) => (JSON.parse(line) as { kind: string }).kind)
const verdict = () => verifyAudit(options)

describe('an audit log that nobody touched', () => {
  it('verifies, empty or not, and over restarts', async () => {
    expect(await verdict()).toMatchObject({ ok: true, entries: 0, finding: 'none' })
    written(3)
    written(2)
    expect(await verdict()).toMatchObject({ ok: true, entries: 5, finding: 'none' })
  })

  it('can be verified while entries are being written', async () => {
    const log = AuditLog.open(options)
    log.append('reset')
    const verifying = log.verify()
    log.append('reset')
    expect(await verifying).toMatchObject({ ok: true })
    log.close()
  })
})

describe('dispatches that a killed app began', () => {
  const append = (
    ...entries: [kind: 'dispatch_started' | 'dispatch' | 'dispatch_interrupted', id: string][]
  ) => {
    const log = AuditLog.open(options)
    for (const [kind, command_id] of entries) log.append(kind, { command_id })
    log.close()
  }
  const unfinished = (): unknown[] => {
    const log = AuditLog.open(options)
    log.close()
    return log.unfinished.map(({ command_id }) => command_id)
  }

  it('are found at the next opening, until their end is recorded', () => {
    append(['dispatch_started', 'a'], ['dispatch', 'a'], ['dispatch_started', 'b'])
    expect(unfinished()).toEqual(['b'])
    append(['dispatch_interrupted', 'b'])
    expect(unfinished()).toEqual([])
  })

  it('are found behind a last entry that was torn', () => {
    append(['dispatch_started', 'a'])
    appendFileSync(options.logPath, '{"half')
    expect(unfinished()).toEqual(['a'])
  })
})

describe('tampering', () => {
  const edits: [name: string, edit: (lines: string[]) => string[], finding: string][] = [
    ['a changed fact', (l) => l.with(1, (l[1] ?? '').replace('"n":2', '"n":9')), 'broken_chain'],
    [
      'another spelling of the same fact',
      (l) => l.with(1, (l[1] ?? '').replace('"n":2', '"n": 2')),
      'broken_chain',
    ],
    ['a removed entry', (l) => l.toSpliced(1, 1), 'broken_chain'],
    [
      'two entries in each other’s place',
      (l) => [l[0] ?? '', l[2] ?? '', l[1] ?? '', l[3] ?? ''],
      'broken_chain',
    ],
    ['a repeated entry', (l) => [...l, l[3] ?? ''], 'broken_chain'],
    ['a cut tail', (l) => l.slice(0, -1), 'missing_tail'],
    ['everything cut', () => [], 'missing_tail'],
  ]

  it.each(edits)('shows: %s', async (_name, edit, finding) => {
    written(4)
    rewrite(edit(linesOf()))
    expect(await verdict()).toMatchObject({ ok: false, finding })
  })

  it('shows when a last entry is cut in the middle: it had been counted', async () => {
    written(4)
    truncateSync(options.logPath, readFileSync(options.logPath).length - 5)
    expect(await verdict()).toMatchObject({ ok: false, finding: 'missing_tail' })
  })

  it('shows when a well-formed entry is appended: the hash of an entry needs no key, the head does', async () => {
    written(2)
    const last = JSON.parse(linesOf()[1] ?? '') as { hash: string }
    appendFileSync(
      options.logPath,
      entryLine(sealEntry(3, last.hash, new Date(0).toISOString(), 'reset', {})),
    )
    expect(await verdict()).toMatchObject({ ok: false, finding: 'broken_chain' })
  })

  it('shows when a whole new chain is written in place of the old one', async () => {
    written(2)
    let prev: string | null = null
    const forged = [1, 2].map((seq) => {
      const entry = sealEntry(seq, prev, new Date(0).toISOString(), 'reset', { forged: true })
      prev = entry.hash
      return entryLine(entry).toString().trimEnd()
    })
    rewrite(forged)
    expect(await verdict()).toMatchObject({ ok: false, finding: 'broken_chain' })
  })

  it('shows when the log is gone, and when its signed head is', async () => {
    written(2)
    rmSync(options.headPath)
    expect(await verdict()).toMatchObject({ ok: false, finding: 'missing_tail' })
    written(0)
    rmSync(options.logPath)
    expect((await verdict()).ok).toBe(false)
  })

  it('shows when the head was signed with another key', async () => {
    written(2)
    options = { ...options, key: randomBytes(32) }
    expect(await verdict()).toMatchObject({ ok: false, finding: 'missing_tail' })
  })

  it.each(edits)('still shows after the next start and more entries: %s', async (_name, edit) => {
    written(4)
    rewrite(edit(linesOf()))
    written(2)
    expect((await verdict()).ok).toBe(false)
  })

  it('while the log is open tears no entry that comes behind it', async () => {
    const log = AuditLog.open(options)
    for (let n = 1; n <= 3; n += 1) log.append('reset', { n })
    truncateSync(options.logPath, Math.floor(statSync(options.logPath).size / 2))
    for (let n = 4; n <= 5; n += 1) log.append('reset', { n })
    log.close()
    const entries = linesOf().flatMap((line) => openEntry(line) ?? [])
    expect(entries.map(({ seq }) => seq)).toEqual([1, 4, 5])
    expect(await verdict()).toMatchObject({ ok: false, finding: 'broken_chain', entries: 1 })
  })

  it('of the tail is recorded at the next start, and said', () => {
    written(4)
    rewrite(linesOf().slice(0, -1))
    const log = AuditLog.open(options)
    expect(log.finding).toContain('does not end with the entry that was signed')
    log.close()
    expect(kinds()).toEqual(['reset', 'reset', 'reset', 'audit_tampering_found'])
  })

  it('still shows after the next start when the head was removed to hide a cut tail', async () => {
    written(4)
    rewrite(linesOf().slice(0, -1))
    rmSync(options.headPath)
    written(1)
    expect(kinds()).toContain('audit_tampering_found')
    expect(await verdict()).toMatchObject({ ok: false })
  })
})

/** A crash leaves what was written before it: the head that announces, then part of the line, then all of it. */
describe('a crash during a write', () => {
  const crashedAfter = (bytes: (line: Buffer) => number): void => {
    written(2)
    const head = HeadFile.open(options.headPath, options.key)
    const { count, hash } = head.head ?? { count: 0, hash: null }
    const line = entryLine(sealEntry(count + 1, hash, new Date(0).toISOString(), 'reset', { n: 3 }))
    head.write({ count, hash, next: (JSON.parse(line.toString()) as { hash: string }).hash }, true)
    head.close()
    appendFileSync(options.logPath, line.subarray(0, bytes(line)))
  }

  it('before the line is no tampering', async () => {
    crashedAfter(() => 0)
    expect(await verdict()).toMatchObject({ ok: true, entries: 2 })
    written(1)
    expect(await verdict()).toMatchObject({ ok: true, entries: 3 })
  })

  it('in the middle of the line is a torn tail, which the next start cuts off and records', async () => {
    crashedAfter((line) => line.length - 7)
    expect(await verdict()).toMatchObject({ ok: false, finding: 'torn_tail', entries: 2 })
    written(1)
    expect(kinds()).toEqual(['reset', 'reset', 'audit_repaired', 'reset'])
    expect(await verdict()).toMatchObject({ ok: true, entries: 4 })
  })

  it('just before the newline is a torn tail too', async () => {
    crashedAfter((line) => line.length - 1)
    expect(await verdict()).toMatchObject({ finding: 'torn_tail' })
    written(0)
    expect(await verdict()).toMatchObject({ ok: true, entries: 3 })
  })

  it('after the line is no tampering, and the entry counts', async () => {
    crashedAfter((line) => line.length)
    expect(await verdict()).toMatchObject({ ok: true, entries: 3 })
    written(1)
    expect(await verdict()).toMatchObject({ ok: true, entries: 4 })
  })

  it('does not excuse an entry other than the announced one', async () => {
    crashedAfter(() => 0)
    const last = JSON.parse(linesOf()[1] ?? '') as { hash: string }
    appendFileSync(
      options.logPath,
      entryLine(sealEntry(3, last.hash, new Date(0).toISOString(), 'reset', { n: 4 })),
    )
    expect(await verdict()).toMatchObject({ ok: false, finding: 'broken_chain' })
  })

  it('that tears one slot of the head leaves the other in force', async () => {
    written(2)
    const bytes = readFileSync(options.headPath)
    const head = HeadFile.open(options.headPath, options.key)
    const newest = (head.head?.generation ?? 0) % 2
    head.close()
    bytes.fill(0, newest * 512 + 100, newest * 512 + 300)
    writeFileSync(options.headPath, bytes)
    expect(await verdict()).toMatchObject({ ok: true, entries: 2 })
  })
})

it('refuses to follow a link in place of the log', () => {
  writeFileSync(`${options.logPath}.elsewhere`, '')
  written(0)
  rmSync(options.logPath)
  // A link to a file of ours is as bad as any: what it points to would be appended to.
  expect(() => {
    symlinkSync(`${options.logPath}.elsewhere`, options.logPath)
    AuditLog.open(options)
  }).toThrow('open the audit log')
})
