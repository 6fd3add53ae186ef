import { closeSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { BsmError, sha256 } from '../../core/protocol/index.ts'
import { type BootConfig, type BootOptions, checkBootConfig, type HostFacts } from './boot-config.ts'

const host: HostFacts = { maxCpus: 4, memoryMib: 4096, availableMemoryMib: 2048 }
let directory = ''
let options: BootOptions

const image = (): Buffer => {
  const bytes = Buffer.alloc(1024)
  bytes.write('ARM\x64', 56, 'latin1')
  return bytes
}

const withBytes = (at: number, text: string): Buffer => {
  const bytes = Buffer.alloc(1024)
  bytes.write(text, at, 'latin1')
  return bytes
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'bsm-boot-config-'))
  writeFileSync(join(directory, 'Image'), image())
  writeFileSync(join(directory, 'initrd.img'), 'initrd')
  writeFileSync(join(directory, 'rootfs.img'), Buffer.alloc(1024))
  options = {
    kernel: join(directory, 'Image'),
    initrd: join(directory, 'initrd.img'),
    rootfs: join(directory, 'rootfs.img'),
    cmdline: 'quiet',
    cpus: '1',
    memoryMib: '256',
  }
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

function check(change: Partial<BootOptions> = {}, facts: HostFacts = host): BootConfig {
  const config = checkBootConfig({ ...options, ...change }, facts)
  closeSync(config.kernelFd)
  if (config.initrdFd !== null) closeSync(config.initrdFd)
  return config
}

/** The sentence with which the configuration is refused. */
function refusal(change: Partial<BootOptions> = {}, facts: HostFacts = host): string {
  try {
    check(change, facts)
  } catch (error) {
    if (!(error instanceof BsmError)) throw error
    expect(error.code).toBe('BOOT_CONFIG_INVALID')
    expect(error.nextStep).toBeTruthy()
    return error.message
  }
  return 'accepted'
}

const manifest = (change: object = {}) => {
  const file = (name: string, bytes: Buffer) => ({ file: name, size: bytes.length, digest: sha256(bytes) })
  return {
    schema: 'bsm-image/1',
    image_version: '1',
    recipe: 'base',
    arch: 'arm64',
    image_digest: sha256(Buffer.from('x')),
    kernel: file('Image', image()),
    initrd: file('initrd.img', Buffer.from('initrd')),
    rootfs: file('rootfs.img', Buffer.alloc(1024)),
    cmdline: 'quiet',
    tools: [],
    inputs: [],
    ...change,
  }
}

describe('a boot configuration', () => {
  it('of good files is taken', () => {
    expect(check()).toMatchObject({ cpus: 1, memoryMib: 256, image: null, savedState: null })
  })

  it('finds the manifest beside the rootfs', () => {
    writeFileSync(join(directory, 'manifest.json'), JSON.stringify(manifest()))
    expect(check().image?.recipe).toBe('base')
  })

  it.each([
    ['bzImage', withBytes(0x202, 'HdrS'), 'is a bzImage'],
    ['gzip', withBytes(0, '\x1f\x8b'), 'compressed with gzip'],
    ['EFI zboot', withBytes(0, 'MZ\0\0zimg'), 'EFI zboot'],
    ['ELF', withBytes(0, '\x7fELF'), 'ELF'],
    ['text', Buffer.from('hello'), 'not an ARM64 Image'],
    ['empty', Buffer.alloc(0), 'is empty'],
  ])('with a kernel that is %s says so', (_, bytes, sentence) => {
    writeFileSync(join(directory, 'Image'), bytes)
    expect(refusal()).toContain(sentence)
  })

  it('takes an Image with an EFI stub, which begins like a PE file', () => {
    const bytes = image()
    bytes.write('MZ', 0, 'latin1')
    writeFileSync(join(directory, 'Image'), bytes)
    expect(refusal()).toBe('accepted')
  })

  it.each(['kernel', 'rootfs', 'initrd'] as const)('with a missing %s names it', (part) => {
    expect(refusal({ [part]: join(directory, 'nowhere') })).toBe(
      `The ${part} ${join(directory, 'nowhere')} does not exist.`,
    )
  })

  it.each(['kernel', 'rootfs', 'initrd'] as const)('with a directory as %s names it', (part) => {
    mkdirSync(join(directory, 'folder'))
    expect(refusal({ [part]: join(directory, 'folder') })).toContain('not a regular file')
  })

  it.each(['kernel', 'rootfs', 'initrd'] as const)('with a relative %s names it', (part) => {
    expect(refusal({ [part]: 'Image' })).toContain('not an absolute path')
  })

  it.each(['kernel', 'rootfs'] as const)('without a %s says so', (part) => {
    expect(refusal({ [part]: undefined })).toBe(`No ${part} was given.`)
  })

  it('with a kernel that cannot be opened says so', () => {
    symlinkSync(join(directory, 'loop'), join(directory, 'loop'))
    expect(refusal({ kernel: join(directory, 'loop') })).toContain('cannot be opened')
  })

  it('with a kernel that opens and cannot be read says so', () => {
    expect(refusal({ kernel: '/proc/self/mem' })).toBe('The kernel /proc/self/mem cannot be read.')
  })

  it('with a saved state that cannot be looked at says so', () => {
    const path = `/${'x'.repeat(5_000)}`
    expect(refusal({ savedState: path })).toBe(`The saved state ${path} cannot be looked at.`)
  })

  it('with a dangling link says that the file does not exist', () => {
    symlinkSync(join(directory, 'nowhere'), join(directory, 'link'))
    expect(refusal({ kernel: join(directory, 'link') })).toContain('does not exist')
  })

  it('with an empty rootfs says so', () => {
    truncateSync(join(directory, 'rootfs.img'), 0)
    expect(refusal()).toContain('is empty')
  })

  it('with a rootfs that is no whole number of sectors says so', () => {
    truncateSync(join(directory, 'rootfs.img'), 1000)
    expect(refusal()).toContain('not a multiple of 512')
  })

  it.each(['Image', 'rootfs.img', 'initrd.img'])('with a truncated %s says so, by its manifest', (name) => {
    writeFileSync(join(directory, 'manifest.json'), JSON.stringify(manifest()))
    truncateSync(join(directory, name), name === 'Image' ? 600 : 5)
    expect(refusal()).toContain('truncated')
  })

  it('with a damaged manifest says so', () => {
    writeFileSync(join(directory, 'manifest.json'), JSON.stringify(manifest({ tools: 'none' })))
    expect(refusal()).toContain('damaged')
  })

  it.each([
    ['cpus', '0', 'at least 1 CPU'],
    ['cpus', '5', 'at most 4 CPUs'],
    ['cpus', '1.5', 'not a whole number'],
    ['cpus', '-1', 'not a whole number'],
    ['memoryMib', '127', 'at least 128 MiB'],
    ['memoryMib', '', 'not a whole number'],
    ['memoryMib', '4097', 'This host has 4096 MiB'],
    ['savedState', 'here', 'not an absolute path'],
    ['savedState', '/nowhere', 'no saved state'],
  ])('with %s %j says why not', (option, value, sentence) => {
    expect(refusal({ [option]: value })).toContain(sentence)
  })

  it('for which there is not enough memory just now is not called wrong: a later try may find more', () => {
    expect(() => check({ memoryMib: '2049' })).toThrowError(
      expect.objectContaining({
        code: 'VM_LIFECYCLE_ERROR',
        message: expect.stringContaining('not enough memory'),
      }),
    )
  })
})
