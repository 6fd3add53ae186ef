import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { findDesktop, installedProgram, noWindow } from './desktop.ts'

const person = { platform: 'linux', env: { DISPLAY: ':0' }, root: false, args: [] } as const

describe('npm start opens the app', () => {
  it('on a Mac, and on Linux with a display', () => {
    expect(noWindow({ ...person, platform: 'darwin', env: {} })).toBeNull()
    expect(noWindow(person)).toBeNull()
    expect(noWindow({ ...person, env: { WAYLAND_DISPLAY: 'wayland-0' } })).toBeNull()
  })

  it('not where there is no display, as root, in CI, or when told otherwise', () => {
    expect(noWindow({ ...person, env: {} })).toBe('There is no display here')
    expect(noWindow({ ...person, root: true })).toBe('Electron does not run as root')
    expect(noWindow({ ...person, env: { DISPLAY: ':0', CI: 'true' } })).toBe('This is CI')
    expect(noWindow({ ...person, args: ['--headless'] })).toBe('As asked for')
    expect(noWindow({ ...person, args: ['--port', '4711'] })).toContain('options')
  })

  it('with the program that is there, and fetches it only when it is not', async () => {
    const installed = () => '/somewhere/electron'
    const fetch = () => Promise.reject(new Error('it was fetched'))
    expect(await findDesktop(person, { installed, fetch })).toEqual({
      kind: 'app',
      program: '/somewhere/electron',
    })
    expect(await findDesktop({ ...person, env: {} }, { installed, fetch })).toMatchObject({
      kind: 'headless',
    })
  })

  it('or says why not', async () => {
    expect(await findDesktop(person, { installed: () => null, fetch: async () => false })).toEqual({
      kind: 'headless',
      why: "Electron's program could not be downloaded",
    })
  })
})

it('the program is where the package says, if it is there', () => {
  const directory = mkdtempSync(join(tmpdir(), 'bsm-electron-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  expect(installedProgram(directory)).toBeNull()
  writeFileSync(join(directory, 'path.txt'), 'electron')
  expect(installedProgram(directory)).toBeNull()
  mkdirSync(join(directory, 'dist'))
  writeFileSync(join(directory, 'dist', 'electron'), '')
  expect(installedProgram(directory)).toBe(join(directory, 'dist', 'electron'))
})
