import { chmodSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadOrCreateKey } from './keys.ts'
import { temporaryDirectory } from './testing/fixture.ts'

const keyPath = (): string => join(temporaryDirectory(), 'audit.key')

describe('a key', () => {
  it('is made once, 32 bytes, for this user alone, and stays the same', () => {
    const path = keyPath()
    const key = loadOrCreateKey(path)
    expect(key).toHaveLength(32)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(loadOrCreateKey(path)).toEqual(key)
    expect(loadOrCreateKey(keyPath())).not.toEqual(key)
  })

  it('that others may read is refused, not replaced', () => {
    const path = keyPath()
    loadOrCreateKey(path)
    chmodSync(path, 0o640)
    expect(() => loadOrCreateKey(path)).toThrow('others may read it')
  })

  it.each(['', 'abc', 'g'.repeat(64), '0'.repeat(66)])('that reads %j is refused, not replaced', (text) => {
    const path = keyPath()
    writeFileSync(path, text, { mode: 0o600 })
    expect(() => loadOrCreateKey(path)).toThrow('cannot be used')
  })

  it('is not followed through a link', () => {
    const path = keyPath()
    loadOrCreateKey(`${path}.real`)
    symlinkSync(`${path}.real`, path)
    expect(() => loadOrCreateKey(path)).toThrow('symbolic link')
  })
})
