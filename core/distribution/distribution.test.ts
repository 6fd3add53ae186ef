import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { helperRequirement, type Distribution, type ImageManifest } from '../protocol/index.ts'
import { temporaryDirectory } from '../testing/fixture.ts'
import {
  checkGuestImage,
  checkHelperSignature,
  dropOverrides,
  loadDistribution,
  type RunTool,
} from './index.ts'

const sha256 = (bytes: string | Buffer): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`

function image(): { imageDir: string; folder: string; guest: Distribution['guest'] } {
  const imageDir = temporaryDirectory()
  const folder = join(imageDir, 'base')
  mkdirSync(folder)
  const part = (file: string) => {
    writeFileSync(join(folder, file), `bytes of ${file}`)
    return { file, size: `bytes of ${file}`.length, digest: sha256(`bytes of ${file}`) }
  }
  const manifest: ImageManifest = {
    schema: 'bsm-image/1',
    image_version: '1',
    recipe: 'base',
    arch: 'arm64',
    image_digest: sha256(''),
    kernel: part('Image'),
    initrd: part('initrd.img'),
    rootfs: part('rootfs.img'),
    cmdline: 'console=hvc0',
    tools: [],
    inputs: [],
  }
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest))
  return { imageDir, folder, guest: { base: sha256(readFileSync(join(folder, 'manifest.json'))) } }
}

describe('the guest image of a packaged app', () => {
  it('is taken when its manifest is the sealed one and every file is what the manifest says', async () => {
    const { imageDir, guest } = image()
    await expect(checkGuestImage(imageDir, 'base', { guest })).resolves.toBeUndefined()
  })

  it.each(['manifest.json', 'Image', 'initrd.img', 'rootfs.img'])(
    'is refused when %s is another',
    async (file) => {
      const { imageDir, folder, guest } = image()
      const bytes = readFileSync(join(folder, file))
      bytes.writeUInt8(bytes.readUInt8(0) ^ 1)
      writeFileSync(join(folder, file), bytes)
      await expect(checkGuestImage(imageDir, 'base', { guest })).rejects.toMatchObject({
        code: 'IMAGE_MISMATCH',
        message: `${file} of the guest image "base" is not the one of this app.`,
      })
    },
  )

  it('is refused when a manifest of its own making names other files truthfully', async () => {
    const { imageDir, folder, guest } = image()
    const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')) as ImageManifest
    writeFileSync(join(folder, 'rootfs.img'), 'evil')
    manifest.rootfs = { file: 'rootfs.img', size: 4, digest: sha256('evil') }
    writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest))
    await expect(checkGuestImage(imageDir, 'base', { guest })).rejects.toThrow('manifest.json')
  })

  it('is refused when a file is missing, and when the app has no such image', async () => {
    const { imageDir, folder, guest } = image()
    await expect(checkGuestImage(imageDir, 'constructor', { guest })).rejects.toThrow(
      'comes without a guest image "constructor"',
    )
    rmSync(join(folder, 'Image'))
    await expect(checkGuestImage(imageDir, 'base', { guest })).rejects.toThrow('Could not read')
  })
})

describe('the helper of a packaged app', () => {
  const answering = (code: number, output = '') => {
    const asked: string[][] = []
    const run: RunTool = (command, args) => {
      asked.push([command, ...args])
      return Promise.resolve({ code, output })
    }
    return { asked, run }
  }

  it('has to satisfy a requirement that names Apple, the kind of certificate and the team', async () => {
    const { asked, run } = answering(0)
    await checkHelperSignature('/app/helper', { kind: 'developer_id', team_id: 'ABCDE12345' }, run)
    expect(asked).toEqual([
      [
        '/usr/bin/codesign',
        '--verify',
        '--strict',
        '-R=identifier "bsm-vz-helper" and anchor apple generic' +
          ' and certificate 1[field.1.2.840.113635.100.6.2.6] exists' +
          ' and certificate leaf[field.1.2.840.113635.100.6.1.13] exists' +
          ' and certificate leaf[subject.OU] = "ABCDE12345"',
        '/app/helper',
      ],
    ])
  })

  it('of an ad-hoc build has only its name and an intact signature', () => {
    expect(helperRequirement({ kind: 'ad_hoc' })).toBe('identifier "bsm-vz-helper"')
  })

  it('is refused when codesign says no', async () => {
    const { run } = answering(3, 'test-requirement: code failed to satisfy specified code requirement(s)\n')
    await expect(checkHelperSignature('/app/helper', { kind: 'ad_hoc' }, run)).rejects.toMatchObject({
      code: 'VM_LIFECYCLE_ERROR',
      message: 'The helper is not the one that this app came with.',
      cause: 'test-requirement: code failed to satisfy specified code requirement(s)',
    })
  })

  it('is refused where codesign cannot be run', async () => {
    if (process.platform === 'darwin') return
    await expect(checkHelperSignature('/app/helper', { kind: 'ad_hoc' })).rejects.toThrow('not the one')
  })
})

describe('distribution.json', () => {
  const good = {
    schema: 'bsm-distribution/1',
    signing: { kind: 'developer_id', team_id: 'ABCDE12345' },
    guest: {},
    update_feed: null,
  }
  const written = (content: unknown): string => {
    const directory = temporaryDirectory()
    writeFileSync(join(directory, 'distribution.json'), JSON.stringify(content))
    return directory
  }

  it('is read', () => expect(loadDistribution(written(good))).toEqual(good))

  it.each([
    ['a feed without TLS', { ...good, update_feed: 'http://updates.example' }],
    [
      'a team that would end the requirement early',
      { ...good, signing: { kind: 'developer_id', team_id: 'A" or true' } },
    ],
    ['something unknown', { ...good, more: 1 }],
  ])('is refused with %s', (_what, content) => {
    expect(() => loadDistribution(written(content))).toThrow('distribution.json')
  })

  it('is refused when it is missing', () => {
    expect(() => loadDistribution(temporaryDirectory())).toThrow('ENOENT')
  })
})

it('nobody who sets the environment of a packaged app chooses its directories or programs', () => {
  const env: Record<string, string> = {
    PATH: '/bin',
    BSM_STATE_DIR: '/evil',
    BSM_QEMU: '/evil/qemu',
    HOME: '/h',
  }
  dropOverrides(env)
  expect(env).toEqual({ PATH: '/bin', HOME: '/h' })
})
