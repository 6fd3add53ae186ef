import { mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
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
  it('has the same bytes when it is built twice', { timeout: 300_000 }, async () => {
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

  it(
    'is built anew when an input changed, with another digest, or when it is spoiled',
    { timeout: 300_000 },
    async () => {
      const out = join(dir, 'image')
      const file = join(dir, 'recipe.json')
      const base = readRecipe('base')
      const build = async (text: string) => {
        writeFileSync(file, JSON.stringify({ ...base, files: { '/etc/motd': { text } } }))
        said = []
        return buildImage({ recipe: file, out, log: (line) => said.push(line) })
      }
      let said: string[] = []
      const one = await build('hello\n')
      const again = await build('hello\n')
      const other = await build('hullo\n')
      expect([one.rebuilt, again.rebuilt, other.rebuilt]).toEqual([true, false, true])
      expect(again.manifest).toEqual(one.manifest)
      expect(other.manifest.image_digest).not.toBe(one.manifest.image_digest)
      expect(other.manifest.rootfs.digest).not.toBe(one.manifest.rootfs.digest)
      expect(other.manifest.kernel.digest).toBe(one.manifest.kernel.digest)

      // A file cut short is mended by the command that every error about it names.
      truncateSync(join(out, 'rootfs.img'), 4096)
      const mended = await build('hullo\n')
      expect(mended.rebuilt).toBe(true)
      expect(said[0]).toMatch(/^building anew: rootfs.img has 4096 bytes instead of \d+$/)
      expect(mended.manifest).toEqual(other.manifest)
      expect((await build('hullo\n')).rebuilt).toBe(false)
    },
  )
})
