import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readBuilt, stampText } from './built.ts'
import { digest } from './digest.ts'
import { CMDLINE, type Manifest } from './manifest.ts'

let dir = ''
beforeEach(() => {
  dir = join(mkdtempSync(join(tmpdir(), 'bsm-built-')), 'base')
})
afterEach(() => {
  rmSync(join(dir, '..'), { recursive: true, force: true })
})

const INPUTS = digest('inputs')

/** An image folder of a few bytes. */
function image(): Manifest {
  mkdirSync(dir)
  const part = (file: string) => {
    const data = `the bytes of ${file}`
    writeFileSync(join(dir, file), data)
    return { file, size: data.length, digest: digest(data) }
  }
  const manifest: Manifest = {
    ...{ schema: 'bsm-image/1', image_version: '1', recipe: 'base', arch: 'arm64', cmdline: CMDLINE },
    image_digest: INPUTS,
    kernel: part('Image'),
    initrd: part('initrd.img'),
    rootfs: part('rootfs.img'),
    ...{ tools: [], inputs: [] },
  }
  const text = JSON.stringify(manifest)
  writeFileSync(join(dir, 'manifest.json'), text)
  writeFileSync(join(dir, 'stamp'), stampText(INPUTS, text))
  return manifest
}

function flip(path: string): void {
  const data = readFileSync(path)
  data[3] = (data[3] ?? 0) ^ 1
  writeFileSync(path, data)
}

describe('an image that was built', () => {
  it('serves again while its inputs and its bytes are the same', async () => {
    const manifest = image()
    expect(await readBuilt(dir, INPUTS)).toEqual({ manifest })
  })

  it('is nothing where there is none', async () => {
    expect(await readBuilt(dir, INPUTS)).toBeUndefined()
  })

  it('is out of date once its inputs changed', async () => {
    image()
    expect(await readBuilt(dir, digest('other inputs'))).toEqual({ changed: true })
  })

  for (const file of ['Image', 'initrd.img', 'rootfs.img']) {
    it(`is spoiled by one other byte in ${file}, and says so`, async () => {
      image()
      flip(join(dir, file))
      const spoiled = `${file} has not the bytes that the manifest names`
      expect(await readBuilt(dir, INPUTS)).toEqual({ spoiled })
    })

    it(`is spoiled by a ${file} cut short, grown or gone, and says so`, async () => {
      image()
      truncateSync(join(dir, file), 5)
      expect(await readBuilt(dir, INPUTS)).toEqual({
        spoiled: expect.stringContaining(`${file} has 5 bytes instead of`) as string,
      })
      appendFileSync(join(dir, file), Buffer.alloc(100))
      expect(await readBuilt(dir, INPUTS)).toEqual({
        spoiled: expect.stringContaining(`${file} has 105 bytes instead of`) as string,
      })
      rmSync(join(dir, file))
      expect(await readBuilt(dir, INPUTS)).toEqual({ spoiled: expect.stringContaining(file) as string })
    })
  }

  it('is spoiled by a manifest that is another one, even one that fits the files', async () => {
    const manifest = image()
    writeFileSync(join(dir, 'manifest.json'), JSON.stringify({ ...manifest, cmdline: 'init=/bin/sh' }))
    expect(await readBuilt(dir, INPUTS)).toEqual({
      spoiled: expect.stringContaining('manifest.json') as string,
    })
    rmSync(join(dir, 'manifest.json'))
    expect(await readBuilt(dir, INPUTS)).toEqual({
      spoiled: expect.stringContaining('manifest.json') as string,
    })
  })
})
