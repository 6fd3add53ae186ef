import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fileDigest } from './digest.ts'
import { readRecipe } from './recipe.ts'
import { makeDisk, populate } from './rootfs.ts'
import { run } from './run.ts'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'bsm-rootfs-'))
})
afterEach(() => {
  rmSync(dir, { recursive: true, force: true })
})

/** The same tree, made in another order and at another time. */
function tree(name: string, order: readonly string[], time: number): string {
  const root = join(dir, name)
  mkdirSync(join(root, 'home/sandbox'), { recursive: true })
  for (const file of order) {
    writeFileSync(join(root, file), `content of ${file}`)
    utimesSync(join(root, file), time, time)
  }
  symlinkSync('a', join(root, 'link'))
  return root
}

describe('the disk', () => {
  it('has the same bytes whenever and in whatever order its files were made', async () => {
    const digests = []
    for (const [name, order, time] of [
      ['one', ['a', 'b', 'c', 'home/sandbox/x'], 1_000_000_000],
      ['two', ['home/sandbox/x', 'c', 'b', 'a'], 1_500_000_000],
    ] as const) {
      const disk = join(dir, `${name}.img`)
      await makeDisk(tree(name, order, time), disk, 4)
      digests.push(await fileDigest(disk))
    }
    expect(digests[1]).toBe(digests[0])
  })

  it('differs when one byte of one file differs', async () => {
    const root = tree('one', ['a'], 1_000_000_000)
    await makeDisk(root, join(dir, '1.img'), 4)
    writeFileSync(join(root, 'a'), 'content of b')
    await makeDisk(root, join(dir, '2.img'), 4)
    expect(readFileSync(join(dir, '1.img')).equals(readFileSync(join(dir, '2.img')))).toBe(false)
  })

  it('belongs to root but for the home of the sandbox user', async () => {
    const disk = join(dir, 'disk.img')
    await makeDisk(tree('one', ['a', 'home/sandbox/x'], 1_000_000_000), disk, 4)
    const owner = async (path: string) =>
      /User:\s+(\d+)\s+Group:\s+(\d+)/.exec(await run('debugfs', ['-R', `stat ${path}`, disk]))?.slice(1)
    expect(await owner('/a')).toEqual(['0', '0'])
    expect(await owner('/home/sandbox')).toEqual(['1000', '1000'])
    expect(await owner('/home/sandbox/x')).toEqual(['1000', '1000'])
  })
})

/** A package with a folder and a program of its own, and what else `more` makes below its root. */
async function packed(more: (root: string) => void = () => undefined) {
  const root = mkdtempSync(join(dir, 'deb-'))
  mkdirSync(join(root, 'DEBIAN'))
  const control =
    'Package: own\nVersion: 1\nArchitecture: all\nMaintainer: nobody <n@example.org>\nDescription: x\n'
  writeFileSync(join(root, 'DEBIAN/control'), control)
  mkdirSync(join(root, 'opt/own'), { recursive: true })
  writeFileSync(join(root, 'opt/own/program'), '#!/bin/sh\n')
  chmodSync(join(root, 'opt/own/program'), 0o755)
  chmodSync(join(root, 'DEBIAN'), 0o755)
  more(root)
  const file = `${root}.deb`
  await run('dpkg-deb', ['--root-owner-group', '-b', root, file])
  return { name: 'own', version: '1', digest: await fileDigest(file), file }
}

describe('the tree of the disk', () => {
  const recipe = (path: string) => ({
    ...readRecipe('base'),
    keep: undefined,
    files: { [path]: { text: 'mine\n', mode: 0o640 } },
  })
  /** Populates a tree and gives it. */
  async function populated(pkg: Awaited<ReturnType<typeof packed>>, path: string): Promise<string> {
    const tree = mkdtempSync(join(dir, 'tree-'))
    const scratch = mkdtempSync(join(dir, 'scratch-'))
    await populate(tree, recipe(path), [pkg], scratch)
    return tree
  }

  it('has the same modes, and the disk the same bytes, under every umask', async () => {
    const pkg = await packed()
    const digests: string[] = []
    const before = process.umask()
    try {
      for (const umask of [0o022, 0o002, 0o077]) {
        process.umask(umask)
        const disk = join(dir, `${String(umask)}.img`)
        await makeDisk(await populated(pkg, '/srv/a/b/mine'), disk, 4)
        digests.push(await fileDigest(disk))
        const mode = async (path: string) =>
          /Mode:\s+(\d+)/.exec(await run('debugfs', ['-R', `stat ${path}`, disk]))?.[1]
        expect(await mode('/')).toBe('0755')
        expect(await mode('/etc/passwd')).toBe('0644')
        expect(await mode('/tmp')).toBe('01777')
        expect(await mode('/opt/own')).toBe('0755')
        expect(await mode('/opt/own/program')).toBe('0755')
        expect(await mode('/srv/a')).toBe('0755')
        expect(await mode('/srv/a/b/mine')).toBe('0640')
      }
    } finally {
      process.umask(before)
    }
    expect(new Set(digests).size).toBe(1)
  })

  it("takes the recipe's file in the place of a package's link, and leaves alone what that points to", async () => {
    const victim = join(dir, 'victim')
    writeFileSync(victim, 'of the building machine')
    const pkg = await packed((root) => {
      symlinkSync(victim, join(root, 'opt/own/link'))
    })
    const tree = await populated(pkg, '/opt/own/link')
    expect(readFileSync(victim, 'utf8')).toBe('of the building machine')
    expect(readFileSync(join(tree, 'opt/own/link'), 'utf8')).toBe('mine\n')
  })

  it('refuses a file behind a link that leads out of the tree', async () => {
    const pkg = await packed((root) => {
      symlinkSync(dir, join(root, 'opt/out'))
    })
    await expect(populated(pkg, '/opt/out/mine')).rejects.toThrow(
      /link leads from \/opt\/out out of it.*drop/,
    )
  })
})
