import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ownIdentity, startTimeOf } from './identity.ts'
import { StateDirOwner } from './owner.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'bsm-owner-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))
const claim = (value: unknown) => writeFileSync(join(directory, 'helper.json'), JSON.stringify(value))

describe('a state directory', () => {
  it('belongs to one helper at a time', () => {
    const owner = new StateDirOwner(directory)
    expect(() => new StateDirOwner(directory)).toThrow('Another helper')
    owner.release()
    expect(existsSync(join(directory, 'helper.json'))).toBe(false)
    expect(new StateDirOwner(directory).predecessor).toBeNull()
  })

  it('is inherited from a helper that died, who is named', () => {
    const dead = { pid: 2 ** 22 - 1, start_time: '1' }
    claim(dead)
    expect(new StateDirOwner(directory).predecessor).toEqual(dead)
  })

  it('is inherited when only the number of its process lives on', () => {
    claim({ ...ownIdentity(), start_time: '1' })
    expect(new StateDirOwner(directory).predecessor?.start_time).toBe('1')
  })

  it('is inherited when the claim was cut off', () => {
    writeFileSync(join(directory, 'helper.json'), '')
    expect(new StateDirOwner(directory).predecessor).toBeNull()
  })
})

describe('the start time of a process', () => {
  it('is the same every time', () => {
    expect(startTimeOf(process.pid)).toBe(startTimeOf(process.pid))
    expect(startTimeOf(process.pid)).toMatch(/^\d+$/)
  })

  it('is null when there is none', () => {
    expect(startTimeOf(2 ** 22 - 1)).toBeNull()
  })
})
