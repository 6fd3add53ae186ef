import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { beside, replaceFolder, sweep } from './replace.ts'

let parent = ''
let dir = ''
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'bsm-replace-'))
  dir = join(parent, 'base')
})
afterEach(() => {
  rmSync(parent, { recursive: true, force: true })
})

function folder(path: string, content: string): string {
  mkdirSync(path)
  writeFileSync(join(path, 'file'), content)
  return path
}
const content = () => readFileSync(join(dir, 'file'), 'utf8')

/** The id of a process that has ended. */
const deadPid = () => String(spawnSync('true').pid)

describe('an image folder', () => {
  it('is replaced whole, and nothing is left beside it', () => {
    folder(dir, 'old')
    replaceFolder(folder(beside(dir, 'building'), 'new'), dir)
    expect(content()).toBe('new')
    expect(readdirSync(parent)).toEqual(['base'])
  })

  it('stays when its successor cannot take its place', () => {
    folder(dir, 'old')
    expect(() => {
      replaceFolder(join(parent, 'not there'), dir)
    }).toThrow('ENOENT')
    expect(content()).toBe('old')
  })

  it('comes back after a crash between the two renames', () => {
    folder(`${dir}.old-${deadPid()}`, 'old')
    sweep(dir)
    expect(content()).toBe('old')
    expect(readdirSync(parent)).toEqual(['base'])
  })

  it('loses what a crash left beside it, but not what a build at work needs', () => {
    folder(dir, 'now')
    folder(`${dir}.old-${deadPid()}`, 'old')
    folder(`${dir}.building-${deadPid()}`, 'half')
    const atWork = folder(beside(dir, 'building'), 'at work')
    sweep(dir)
    expect(content()).toBe('now')
    expect(existsSync(atWork)).toBe(true)
    expect(readdirSync(parent)).toHaveLength(2)
  })
})
