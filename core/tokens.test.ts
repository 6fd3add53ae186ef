import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { pathsIn, type Paths } from './paths.ts'
import { readToken, removeToken, saveToken } from './tokens.ts'

let folder: string
let paths: Paths
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bsm-tokens-'))
  paths = pathsIn(join(folder, 'state'), join(folder, 'config'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

it('keeps a token where only its owner can read it, and gives it back', () => {
  expect(readToken(paths, 'robot')).toBeNull()
  const path = saveToken(paths, 'robot', 'bsm_secret')
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(statSync(paths.tokensDir).mode & 0o777).toBe(0o700)
  expect(readToken(paths, 'robot')).toBe('bsm_secret')
  removeToken(paths, 'robot')
  removeToken(paths, 'robot')
  expect(readToken(paths, 'robot')).toBeNull()
})

it('stays inside its directory whatever a client is called', () => {
  saveToken(paths, '..', 'x')
  expect(readdirSync(paths.tokensDir)).toEqual(['...token'])
})

it('follows no link', () => {
  saveToken(paths, 'robot', 'x')
  chmodSync(paths.tokensDir, 0o755)
  symlinkSync('/etc/hostname', join(paths.tokensDir, 'linked.token'))
  expect(() => readToken(paths, 'linked')).toThrow('symbolic link')
  saveToken(paths, 'other', 'y')
  expect(statSync(paths.tokensDir).mode & 0o777).toBe(0o700)
})
