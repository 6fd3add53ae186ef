import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
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

  it('is taken from a dead helper by one of many starters alone', { timeout: 60_000 }, async () => {
    claim({ pid: 2 ** 22 - 1, start_time: '1' })
    const script = join(directory, 'start.mts')
    const owner = join(import.meta.dirname, 'owner.ts')
    writeFileSync(
      script,
      `import { StateDirOwner } from ${JSON.stringify(owner)}
       try { new StateDirOwner(${JSON.stringify(directory)}); console.log('taken') } catch { console.log('refused') }
       setTimeout(() => undefined, 60_000)`,
    )
    const children = Array.from({ length: 4 }, () =>
      spawn(process.execPath, ['--import', 'tsx', script], { stdio: ['ignore', 'pipe', 'inherit'] }),
    )
    try {
      const said = children.map(async ({ stdout }) => String((await once(stdout, 'data'))[0]).trim())
      expect((await Promise.all(said)).sort()).toEqual(['refused', 'refused', 'refused', 'taken'])
      expect(readdirSync(directory).sort()).toEqual(['helper.json', 'start.mts'])
    } finally {
      for (const child of children) child.kill('SIGKILL')
    }
  })

  it('is closed to others, and never one behind a link', () => {
    chmodSync(directory, 0o755)
    new StateDirOwner(directory).release()
    expect(statSync(directory).mode & 0o777).toBe(0o700)
    symlinkSync(directory, `${directory}-link`)
    try {
      expect(() => new StateDirOwner(`${directory}-link`)).toThrow('not a directory of this user')
    } finally {
      rmSync(`${directory}-link`)
    }
  })

  it('does not hold the key', () => {
    const keyPath = join(directory, 'config', 'manifest.key')
    expect(() => new StateDirOwner(directory, keyPath)).toThrow('The key would lie')
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
