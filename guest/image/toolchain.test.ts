import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ImageBuildError } from './error.ts'
import { guestDir } from './recipe.ts'
import { toolInputs } from './toolchain.ts'

let dir = ''
const path = process.env['PATH']
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'bsm-toolchain-'))
})
afterEach(() => {
  process.env['PATH'] = path
  rmSync(dir, { recursive: true, force: true })
})

async function inputs() {
  return new Map((await toolInputs(guestDir, [])).map(({ name, ...rest }) => [name, rest]))
}

describe('the tools of the image build', () => {
  it('are all named, and told apart by their bytes, not by what they say of themselves', async () => {
    const usual = await inputs()
    const programs = ['debugfs', 'dpkg-deb', 'go', 'mke2fs', 'tar', 'xz']
    expect([...usual.keys()]).toEqual(['go-library', ...programs.map((name) => `tool:${name}`)])
    for (const { version } of usual.values()) expect(version).toMatch(/\d\.\d/)

    const xz = usual.get('tool:xz')
    writeFileSync(join(dir, 'xz'), `#!/bin/sh\necho xz ${xz?.version ?? ''}\n`)
    chmodSync(join(dir, 'xz'), 0o755)
    process.env['PATH'] = [dir, path].join(delimiter)
    const other = await inputs()
    expect(other.get('tool:xz')?.version).toBe(xz?.version)
    expect(other.get('tool:xz')?.digest).not.toBe(xz?.digest)
    usual.delete('tool:xz')
    other.delete('tool:xz')
    expect(other).toEqual(usual)
  })

  it('have to be there', async () => {
    process.env['PATH'] = dir
    await expect(inputs()).rejects.toThrow(/no program .*Install it/)
    await expect(inputs()).rejects.toBeInstanceOf(ImageBuildError)
  })
})
