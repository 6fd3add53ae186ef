import { chmodSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { configDirOf, ensurePaths, ensurePrivateDir, pathsIn, stateDirOf } from './paths.ts'
import { temporaryDirectory } from './testing/fixture.ts'

describe('where the app keeps its things', () => {
  it.each([
    ['linux', { HOME: '/h' }, '/h/.local/state/brainstorm-sandbox'],
    ['linux', { HOME: '/h', XDG_STATE_HOME: '/x' }, '/x/brainstorm-sandbox'],
    ['linux', { HOME: '/h', XDG_STATE_HOME: 'relative' }, '/h/.local/state/brainstorm-sandbox'],
    ['darwin', { HOME: '/h', XDG_STATE_HOME: '/x' }, '/h/Library/Application Support/Brainstorm Sandbox'],
    ['linux', { HOME: '/h', BSM_STATE_DIR: '/b' }, '/b'],
  ] as const)('on %s with %j is %s', (platform, env, expected) => {
    expect(stateDirOf(env, platform)).toBe(expected)
  })

  it('keeps its keys elsewhere', () => {
    expect(configDirOf({ HOME: '/h' })).toBe('/h/.config/brainstorm-sandbox')
    expect(configDirOf({ HOME: '/h', XDG_CONFIG_HOME: '/x' })).toBe('/x/brainstorm-sandbox')
  })

  it('takes no relative path from a variable of its own', () => {
    expect(() => stateDirOf({ BSM_STATE_DIR: 'here' }, 'linux')).toThrow(
      'BSM_STATE_DIR is not an absolute path',
    )
  })
})

describe('a private directory', () => {
  const mode = (path: string): number => statSync(path).mode & 0o777

  it('is made 0700 whatever the mask, and loses the rights of others', () => {
    const path = join(temporaryDirectory(), 'a', 'b')
    ensurePrivateDir(path)
    expect(mode(path)).toBe(0o700)
    chmodSync(path, 0o755)
    ensurePrivateDir(path)
    expect(mode(path)).toBe(0o700)
  })

  it('may not be a link, a file, or of another user', () => {
    const root = temporaryDirectory()
    mkdirSync(join(root, 'real'))
    symlinkSync(join(root, 'real'), join(root, 'link'))
    writeFileSync(join(root, 'file'), '')
    expect(() => ensurePrivateDir(join(root, 'link'))).toThrow('it is a symbolic link')
    expect(() => ensurePrivateDir(join(root, 'file'))).toThrow('Could not use the directory')
  })

  it('of the keys may not lie in that of the data', () => {
    const root = temporaryDirectory()
    expect(() => ensurePaths(pathsIn(root, join(root, 'config')))).toThrow('beside the data its keys protect')
    expect(() => ensurePaths(pathsIn(root, root))).toThrow('beside the data its keys protect')
  })
})
