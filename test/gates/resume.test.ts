import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Item } from './report.ts'
import { Finished } from './resume.ts'

describe('a gate that was cut off', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'bsm-resume-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const path = () => join(folder, 'gates', 'chaos-qemu.partial.json')
  const item: Item = { id: 'a', group: 'g', promise: 'p', outcome: 'held', reason: '', ms: 1, count: 5 }

  it('finds what it finished, and when it began', () => {
    const first = new Finished(path(), 'commit 5')
    first.add(item)
    const again = new Finished(path(), 'commit 5')
    expect(again.count).toBe(1)
    expect(again.find('a')).toEqual(item)
    expect(again.find('b')).toBeUndefined()
    expect(again.since).toEqual(first.since)
  })

  it('keeps nothing of another commit or other options', () => {
    new Finished(path(), 'commit 5').add(item)
    expect(new Finished(path(), 'commit+1 5').count).toBe(0)
    expect(new Finished(path(), 'commit 1').find('a')).toBeUndefined()
  })

  it('begins anew after its end, and over a file that is not its own', () => {
    const first = new Finished(path(), 'commit 5')
    first.add(item)
    first.remove()
    expect(existsSync(path())).toBe(false)
    writeFileSync(path(), '{"of":"commit 5","items":[1]}')
    expect(new Finished(path(), 'commit 5').count).toBe(0)
  })
})
