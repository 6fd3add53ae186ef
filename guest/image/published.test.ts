import { execFileSync } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ImageManifest } from '../../core/protocol/image.ts'
import { digest } from './digest.ts'
import { packImage, takeImage } from './published.ts'

let folder: string
let image: string
let packed: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bsm-published-'))
  image = join(folder, 'image')
  packed = join(folder, 'image.tar.gz')
  mkdirSync(image)
  const part = (file: string) => {
    writeFileSync(join(image, file), `bytes of ${file}`)
    return { file, size: `bytes of ${file}`.length, digest: digest(`bytes of ${file}`) }
  }
  const manifest: ImageManifest = {
    schema: 'bsm-image/1',
    image_version: '1',
    recipe: 'base',
    arch: 'arm64',
    image_digest: digest('identity'),
    kernel: part('Image'),
    initrd: part('initrd.img'),
    rootfs: part('rootfs.img'),
    cmdline: '',
    tools: [],
    inputs: [],
  }
  writeFileSync(join(image, 'manifest.json'), JSON.stringify(manifest))
  writeFileSync(join(image, 'stamp'), 'of this machine')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const taken = (): string => join(folder, 'taken')

describe('an image from another machine', () => {
  it('is taken whole, without the stamp of the machine that built it', async () => {
    const digest = await packImage(image, packed)
    await takeImage({ file: packed, dir: taken(), digest })
    expect(readdirSync(taken()).sort()).toEqual(['Image', 'initrd.img', 'manifest.json', 'rootfs.img'])
    expect(readFileSync(join(taken(), 'Image'), 'utf8')).toBe('bytes of Image')
    expect(readdirSync(folder).sort()).toEqual(['image', 'image.tar.gz', 'taken'])
  })

  it('is packed to the same bytes each time', async () => {
    await packImage(image, packed)
    await packImage(image, join(folder, 'again.tar.gz'))
    expect(readFileSync(join(folder, 'again.tar.gz')).equals(readFileSync(packed))).toBe(true)
  })

  it('is refused when it is not the committed one, and what was there stays', async () => {
    const first = await packImage(image, packed)
    await takeImage({ file: packed, dir: taken(), digest: first })
    const other = `sha256:${'0'.repeat(64)}`
    await expect(takeImage({ file: packed, dir: taken(), digest: other })).rejects.toThrow(
      'not the expected image',
    )
    await expect(takeImage({ file: packed, dir: taken(), digest: null })).rejects.toThrow(
      'No digest is recorded',
    )
    expect(readFileSync(join(taken(), 'Image'), 'utf8')).toBe('bytes of Image')
  })

  const pack = (): void =>
    void execFileSync('tar', [
      '-czf',
      packed,
      '-C',
      image,
      ...readdirSync(image).filter((name) => name !== 'stamp'),
    ])

  it.each([
    [
      'a file is another',
      () => writeFileSync(join(image, 'rootfs.img'), 'bytes of rootfs.IMG'),
      'rootfs.img is not',
    ],
    ['a file is more', () => writeFileSync(join(image, 'extra'), ''), 'it holds Image, extra'],
    ['a file is missing', () => rmSync(join(image, 'Image')), 'it holds initrd.img'],
    [
      'a file is a link',
      () => {
        rmSync(join(image, 'Image'))
        symlinkSync('/etc/passwd', join(image, 'Image'))
      },
      'Image is not what the manifest says',
    ],
  ])('is refused when %s', async (_what, defect, sentence) => {
    const expected = await packImage(image, packed)
    defect()
    pack()
    await expect(takeImage({ file: packed, dir: taken(), digest: expected })).rejects.toThrow(sentence)
    expect(readdirSync(folder)).not.toContain('taken')
  })
})
