import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { DegradedStore } from './degraded.ts'
import type { Degraded } from './protocol/index.ts'
import { temporaryDirectory } from './testing/fixture.ts'

const NOW = new Date(0)
const RECORD: Degraded = {
  since: NOW.toISOString(),
  code: 'RESET_VERIFICATION_DIVERGENCE',
  sources: ['fs_hash'],
  message: 'The hash of the disk disagreed.',
  report: null,
}

let path: string
beforeEach(() => {
  path = join(temporaryDirectory(), 'degraded.json')
})

describe('degraded mode on disk', () => {
  it('is what was written, until it is left', () => {
    const store = new DegradedStore(path)
    expect(store.load(NOW)).toBeNull()
    store.enter(RECORD)
    expect(new DegradedStore(path).load(NOW)).toEqual(RECORD)
    store.leave()
    expect(store.load(NOW)).toBeNull()
  })

  it.each([
    ['empty', () => writeFileSync(path, '')],
    ['cut off', () => writeFileSync(path, JSON.stringify(RECORD).slice(0, 40))],
    ['of another shape', () => writeFileSync(path, '{}')],
    ['a directory', () => mkdirSync(path)],
    ['a link', () => symlinkSync('/dev/null', path)],
    ['a link to nothing', () => symlinkSync('/nowhere', path)],
  ])('holds also when its record is %s, and can be left all the same', (_name, spoil) => {
    spoil()
    const store = new DegradedStore(path)
    expect(store.load(NOW)).toMatchObject({
      sources: [],
      message: expect.stringContaining('cannot be read') as string,
    })
    store.leave()
    expect(store.load(NOW)).toBeNull()
  })

  it('is entered also on a full disk: the spare needs no new block', () => {
    const full = (): never => {
      throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
    }
    const store = new DegradedStore(path, full)
    store.arm(NOW)
    store.enter(RECORD)
    expect(new DegradedStore(path).load(NOW)).not.toBeNull()
    rmSync(path)
    expect(existsSync(`${path}.spare`)).toBe(false)
    expect(() => store.enter(RECORD)).toThrow('Could not record degraded mode: the disk is full.')
  })
})
