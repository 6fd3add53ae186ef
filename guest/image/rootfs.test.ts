import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fileDigest } from './digest.ts'
import { makeDisk } from './rootfs.ts'
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
