import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { temporaryDirectory } from '../testing/fixture.ts'
import type { AuditKind } from './entry.ts'
import { HeadFile } from './head.ts'
import { AuditLog, type AuditOptions } from './log.ts'

let options: AuditOptions

beforeEach(() => {
  const directory = temporaryDirectory()
  options = {
    logPath: join(directory, 'audit.jsonl'),
    headPath: join(directory, 'head'),
    key: randomBytes(32),
  }
})

const append = (...kinds: AuditKind[]): void => {
  const log = AuditLog.open(options)
  for (const kind of kinds) log.append(kind)
  log.close()
}
async function degraded(): Promise<boolean> {
  const log = AuditLog.open(options)
  try {
    return await log.isDegraded()
  } finally {
    log.close()
  }
}
const cutLast = (): void => {
  const lines = readFileSync(options.logPath, 'utf8').trimEnd().split('\n')
  writeFileSync(
    options.logPath,
    lines
      .slice(0, -1)
      .map((line) => `${line}\n`)
      .join(''),
  )
}

describe('degraded mode in the audit log', () => {
  it('holds from its entry to the recovery, over restarts', async () => {
    expect(await degraded()).toBe(false)
    append('app_started', 'degraded')
    append('app_started')
    expect(await degraded()).toBe(true)
    append('recovered')
    append('app_started')
    expect(await degraded()).toBe(false)
  })

  it('holds also when its entry, or the whole log, was taken away', async () => {
    append('app_started', 'degraded')
    cutLast()
    expect(await degraded()).toBe(true)
    writeFileSync(options.logPath, '')
    expect(await degraded()).toBe(true)
  })

  it('is left also when the app was killed right after the recovery was written', async () => {
    append('degraded')
    const before = HeadFile.read(options.headPath, options.key)
    append('recovered')
    const after = HeadFile.read(options.headPath, options.key)
    const head = HeadFile.open(options.headPath, options.key)
    head.write(
      { count: before?.count ?? 0, hash: before?.hash ?? null, next: after?.hash ?? null, degraded: true },
      true,
    )
    head.close()
    expect(await degraded()).toBe(false)
  })

  it('is read from the log when the head does not say', async () => {
    append('degraded')
    const signed = HeadFile.read(options.headPath, options.key)
    const head = HeadFile.open(options.headPath, options.key)
    head.write({ count: signed?.count ?? 0, hash: signed?.hash ?? null, next: null }, true)
    head.close()
    expect(await degraded()).toBe(true)
  })
})
