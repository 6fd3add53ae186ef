import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ImageBuildError } from './error.ts'
import { matcher, readRecipe } from './recipe.ts'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'bsm-recipe-'))
})
afterEach(() => {
  rmSync(dir, { recursive: true, force: true })
})

describe('a recipe', () => {
  it('that is not there: says which are', () => {
    expect(() => readRecipe('nope')).toThrow('There is no recipe "nope". Use base or python')
    expect(() => readRecipe('nope')).toThrow(ImageBuildError)
  })

  it('that is not JSON, or not a recipe: says where it is wrong', () => {
    const file = join(dir, 'mine.json')
    writeFileSync(file, '{"name": ')
    expect(() => readRecipe(file)).toThrow(/^The recipe mine.json cannot be read as JSON: .*Mend it/)
    writeFileSync(file, '{"name": "mine", "packages": ["jq"], "size": 4}')
    expect(() => readRecipe(file)).toThrow(/^The recipe mine.json is not valid:[^]*size_mib[^]*Mend it/)
  })
})

describe("a recipe's own files", () => {
  const read = (path: string) => {
    const file = join(dir, 'mine.json')
    const recipe = { name: 'mine', packages: ['jq'], size_mib: 4, files: { [path]: { text: 'x' } } }
    writeFileSync(file, JSON.stringify(recipe))
    return Object.keys(readRecipe(file).files)
  }

  it('have paths in the guest and nowhere else', () => {
    for (const path of ['/etc/motd', '/a/..b', '/..a/b']) expect(read(path)).toEqual([path])
    for (const path of ['etc/motd', '/', '/..', '/../x', '/a/../../x', '/a/..'])
      expect(() => read(path), path).toThrow(/not valid:[^]*files/)
  })
})

describe('a pattern', () => {
  it('matches the whole text, its star anything but a slash', () => {
    const matches = matcher(['libperl5*', '/usr/lib/python3*/ensurepip', 'libstdc++6'])
    expect(
      ['libperl5.36', 'libperl5.40', '/usr/lib/python3.13/ensurepip', 'libstdc++6'].filter(matches),
    ).toHaveLength(4)
    expect(
      ['xlibperl5.36', '/usr/lib/python3.13/a/ensurepip', 'libstdccc6', 'libstdc++66'].filter(matches),
    ).toEqual([])
  })
})
