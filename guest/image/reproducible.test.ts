import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { buildImage } from './build.ts'
import { readRecipe } from './recipe.ts'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'bsm-image-'))
})
afterEach(() => {
  rmSync(dir, { recursive: true, force: true })
})

describe('the image', () => {
  it('has the same bytes when it is built twice', { timeout: 120_000 }, async () => {
    const one = await buildImage({ recipe: 'base', out: join(dir, 'one'), force: true })
    const two = await buildImage({ recipe: 'base', out: join(dir, 'two'), force: true })
    const names = readdirSync(one.dir).sort()
    expect(names).toEqual(['Image', 'initrd.img', 'manifest.json', 'rootfs.img', 'stamp'])
    expect(readdirSync(two.dir).sort()).toEqual(names)
    for (const name of names) {
      const same = readFileSync(join(one.dir, name)).equals(readFileSync(join(two.dir, name)))
      expect(same, name).toBe(true)
    }
  })

  it('has another digest, and is built anew, when an input changed', { timeout: 120_000 }, async () => {
    const out = join(dir, 'image')
    const file = join(dir, 'recipe.json')
    const base = readRecipe('base')
    const build = async (text: string) => {
      writeFileSync(file, JSON.stringify({ ...base, files: { '/etc/motd': { text } } }))
      return buildImage({ recipe: file, out })
    }
    const one = await build('hello\n')
    const again = await build('hello\n')
    const other = await build('hullo\n')
    expect([one.rebuilt, again.rebuilt, other.rebuilt]).toEqual([true, false, true])
    expect(again.manifest).toEqual(one.manifest)
    expect(other.manifest.image_digest).not.toBe(one.manifest.image_digest)
    expect(other.manifest.rootfs.digest).not.toBe(one.manifest.rootfs.digest)
    expect(other.manifest.kernel.digest).toBe(one.manifest.kernel.digest)
  })
})
