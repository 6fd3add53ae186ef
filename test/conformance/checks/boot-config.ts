import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { join } from 'node:path'
import { BootResult, exitCodeFor, type ErrorCode } from '../../../core/protocol/index.ts'
import { corruptByte } from '../../support/corrupt.ts'
import { bootArguments, type BootOptions } from '../../support/helper.ts'
import type { Scratch } from '../../support/scratch.ts'
import { copyImage, type GuestImage } from '../../support/image.ts'
import { group } from '../check.ts'
import type { Context } from '../context.ts'
import { REQUIRED, hasKeys, sentence } from '../expect.ts'

const check = group('boot-config', '§1', 'none')

/** Boots with something wrong and holds the refusal to the contract; gives its message and next step. */
async function refusal(
  context: Context,
  change: (
    image: GuestImage,
    scratch: Scratch,
  ) => { image?: GuestImage; options?: BootOptions; args?: string[] },
  ...codes: ErrorCode[]
): Promise<string> {
  const scratch = context.scratch()
  const { image = context.image, options = {}, args } = change(context.image, scratch)
  const finished = await context.command(args ?? bootArguments(scratch, image, options), scratch, {}, 'open')
  const lines = finished.stdout.split('\n').filter((line) => line !== '')
  assert.equal(
    lines.length,
    1,
    `one line on stdout, got ${finished.stdout.slice(0, 600)}\n${finished.stderr}`,
  )
  const value: unknown = JSON.parse(lines[0] ?? '')
  hasKeys(value, ...REQUIRED.boot_result, 'error')
  const result = BootResult.parse(value)
  assert.equal(result.ok, false)
  const allowed: ErrorCode[] = codes.length > 0 ? codes : ['BOOT_CONFIG_INVALID']
  assert.ok(result.error && allowed.includes(result.error.code), JSON.stringify(result.error))
  assert.ok(result.vmm_api_state === 'stopped' || result.vmm_api_state === 'error')
  sentence(result.error.message)
  assert.ok(result.error.next_step, 'a refusal names the next step')
  sentence(result.error.next_step)
  assert.equal(finished.code, exitCodeFor(result.error.code), `exit ${finished.code}`)
  return `${result.error.message} ${result.error.next_step}`
}

const kernelOf = (bytes: Buffer) => (image: GuestImage, scratch: Scratch) => {
  const kernel = scratch.path('kernel')
  writeFileSync(kernel, bytes)
  return { image: { ...image, kernel } }
}

const padded = (head: Buffer, at = 0, size = 4096): Buffer => {
  const bytes = Buffer.alloc(size)
  head.copy(bytes, at)
  return bytes
}

function bzImage(): Buffer {
  const bytes = padded(Buffer.from('MZ', 'latin1'))
  bytes.writeUInt16LE(0xaa55, 0x1fe)
  bytes.write('HdrS', 0x202, 'latin1')
  return bytes
}

function efiZboot(): Buffer {
  const bytes = padded(Buffer.from('MZ', 'latin1'))
  bytes.write('zimg', 4, 'latin1')
  bytes.write('gzip', 24, 'latin1')
  return bytes
}

/** A copy of the image in which one byte of one file is another. */
const tampered = (part: 'kernel' | 'initrd' | 'rootfs') => (image: GuestImage, scratch: Scratch) => {
  const copy = copyImage(image, scratch.path('image'))
  corruptByte(copy[part], Math.floor(image.manifest[part].size / 2))
  return { image: copy }
}

export const bootConfigChecks = [
  check('kernel-missing', 'a kernel that is not there', async (context) => {
    const words = await refusal(context, (image, scratch) => ({
      image: { ...image, kernel: scratch.path('none') },
    }))
    assert.match(words, /kernel/i)
  }),
  check('kernel-directory', 'a kernel that is a directory', async (context) => {
    assert.match(
      await refusal(context, (image, { root }) => ({ image: { ...image, kernel: root } })),
      /kernel/i,
    )
  }),
  check('kernel-empty', 'an empty kernel', async (context) => {
    assert.match(await refusal(context, kernelOf(Buffer.alloc(0))), /kernel/i)
  }),
  check('kernel-unreadable', 'a kernel that opens and cannot be read', async (context) => {
    // Of Linux alone: elsewhere it does not exist, which is refused as well.
    const words = await refusal(context, (image) => ({ image: { ...image, kernel: '/proc/self/mem' } }))
    assert.match(words, process.platform === 'linux' ? /cannot be read/ : /kernel/i)
  }),
  check('kernel-short', 'a kernel too short for its header', async (context) => {
    assert.match(await refusal(context, kernelOf(Buffer.alloc(59, 1))), /kernel/i)
  }),
  check('kernel-noise', 'a kernel that is no kernel', async (context) => {
    assert.match(await refusal(context, kernelOf(Buffer.alloc(4096, 0x5a))), /Image|ARM64|arm64/)
  }),
  check('kernel-bzimage', 'a bzImage, by that name', async (context) => {
    assert.match(await refusal(context, kernelOf(bzImage())), /bzImage/)
  }),
  check('kernel-gzip', 'a gzip-compressed kernel, by that name', async (context) => {
    assert.match(await refusal(context, kernelOf(gzipSync(Buffer.alloc(4096)))), /gzip/i)
  }),
  check('kernel-zboot', 'an EFI zboot kernel, by that name', async (context) => {
    assert.match(await refusal(context, kernelOf(efiZboot())), /zboot/i)
  }),
  check('kernel-messages-differ', 'each wrong kernel gets its own message', async (context) => {
    const words = [
      await refusal(context, kernelOf(bzImage())),
      await refusal(context, kernelOf(gzipSync(Buffer.alloc(4096)))),
      await refusal(context, kernelOf(efiZboot())),
      await refusal(context, kernelOf(Buffer.alloc(4096, 0x5a))),
    ]
    assert.equal(new Set(words).size, words.length)
  }),
  check('kernel-x86-elf', 'an ELF file for another machine', async (context) => {
    await refusal(context, kernelOf(padded(Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]))))
  }),
  check('kernel-fifo', 'a kernel that is a FIFO, without waiting for a writer', async (context) => {
    await refusal(context, (image, scratch) => {
      execFileSync('mkfifo', [scratch.path('fifo')])
      return { image: { ...image, kernel: scratch.path('fifo') } }
    })
  }),
  check('kernel-relative', 'a relative kernel path', async (context) => {
    assert.match(await refusal(context, (image) => ({ image: { ...image, kernel: 'Image' } })), /absolute/i)
  }),
  check('kernel-absent', 'no --kernel at all', async (context) => {
    const words = await refusal(context, (image, scratch) => ({
      args: ['boot', '--rootfs', image.rootfs, '--state-dir', scratch.stateDir, '--socket', 'none'],
    }))
    assert.match(words, /kernel/)
  }),
  check('rootfs-absent', 'no --rootfs at all', async (context) => {
    const words = await refusal(context, (image, scratch) => ({
      args: ['boot', '--kernel', image.kernel, '--state-dir', scratch.stateDir, '--socket', 'none'],
    }))
    assert.match(words, /rootfs/)
  }),
  check('rootfs-missing', 'a rootfs that is not there', async (context) => {
    const words = await refusal(context, (image, scratch) => ({
      image: { ...image, rootfs: scratch.path('none') },
    }))
    assert.match(words, /rootfs|disk/i)
  }),
  check('rootfs-directory', 'a rootfs that is a directory', async (context) => {
    assert.match(
      await refusal(context, (image, { root }) => ({ image: { ...image, rootfs: root } })),
      /rootfs|disk/i,
    )
  }),
  check('rootfs-empty', 'an empty rootfs', async (context) => {
    const words = await refusal(context, (image, scratch) => {
      writeFileSync(scratch.path('rootfs'), '')
      return { image: { ...image, rootfs: scratch.path('rootfs') } }
    })
    assert.match(words, /empty|512|size/i)
  }),
  check('rootfs-odd-size', 'a rootfs whose size is no multiple of 512', async (context) => {
    const words = await refusal(context, (image, scratch) => {
      writeFileSync(scratch.path('rootfs'), Buffer.alloc(513))
      return { image: { ...image, rootfs: scratch.path('rootfs') } }
    })
    assert.match(words, /512/)
  }),
  check('rootfs-relative', 'a relative rootfs path', async (context) => {
    assert.match(
      await refusal(context, (image) => ({ image: { ...image, rootfs: './rootfs.img' } })),
      /absolute/i,
    )
  }),
  check('initrd-missing', 'an initrd that is not there', async (context) => {
    const words = await refusal(context, (image, scratch) => ({
      image: { ...image, initrd: scratch.path('none') },
    }))
    assert.match(words, /initrd/i)
  }),
  check('initrd-directory', 'an initrd that is a directory', async (context) => {
    assert.match(
      await refusal(context, (image, { root }) => ({ image: { ...image, initrd: root } })),
      /initrd/i,
    )
  }),
  check('initrd-relative', 'a relative initrd path', async (context) => {
    assert.match(
      await refusal(context, (image) => ({ image: { ...image, initrd: 'initrd.img' } })),
      /absolute/i,
    )
  }),
  ...['0', '-1', '1.5', 'two', '100000'].map((cpus) =>
    check(`cpus-${cpus}`, `${cpus} CPUs`, async (context) => {
      assert.match(await refusal(context, () => ({ options: { cpus } })), /cpu/i)
    }),
  ),
  ...['0', '127', '-256', 'much', '256.5', '1000000000'].map((memoryMib) =>
    check(`memory-${memoryMib}`, `${memoryMib} MiB of memory`, async (context) => {
      assert.match(await refusal(context, () => ({ options: { memoryMib } })), /memory|MiB/i)
    }),
  ),
  check('saved-state-missing', 'a saved state that is not there', async (context) => {
    const words = await refusal(context, (_image, scratch) => ({
      options: { extra: ['--saved-state', scratch.path('none')] },
    }))
    assert.match(words, /saved/i)
  }),
  check('saved-state-relative', 'a relative path of a saved state', async (context) => {
    assert.match(
      await refusal(context, () => ({ options: { extra: ['--saved-state', 'here'] } })),
      /absolute/i,
    )
  }),
  check('state-dir-relative', 'a relative state directory', async (context) => {
    assert.match(await refusal(context, () => ({ options: { stateDir: 'here' } })), /absolute/i)
  }),
  check('state-dir-file', 'a state directory that is a file', async (context) => {
    await refusal(
      context,
      (_image, scratch) => {
        writeFileSync(scratch.path('plain'), '')
        return { options: { stateDir: scratch.path('plain') } }
      },
      'BOOT_CONFIG_INVALID',
      'VM_LIFECYCLE_ERROR',
    )
  }),
  check('socket-relative', 'a relative socket path', async (context) => {
    assert.match(await refusal(context, () => ({ options: { socket: 'here.sock' } })), /absolute/i)
  }),
  check('socket-long', 'a socket path of more than 104 bytes', async (context) => {
    const words = await refusal(context, (_image, scratch) => {
      const dir = scratch.path('tmp', 'x'.repeat(60), 'y'.repeat(60))
      mkdirSync(dir, { recursive: true, mode: 0o700 })
      return { options: { socket: join(dir, 'helper.sock') } }
    })
    assert.match(words, /104|long/i)
  }),
  ...(['kernel', 'initrd', 'rootfs'] as const).map((part) =>
    check(
      `mismatch-${part}`,
      `one byte of the ${part} is not the manifest's: IMAGE_MISMATCH`,
      async (context) => {
        assert.match(await refusal(context, tampered(part), 'IMAGE_MISMATCH'), new RegExp(part, 'i'))
      },
    ),
  ),
  check('mismatch-size', 'a rootfs cut short at a sector', async (context) => {
    const words = await refusal(
      context,
      (image, scratch) => {
        const copy = copyImage(image, scratch.path('image'))
        truncateSync(copy.rootfs, image.manifest.rootfs.size - 512)
        return { image: copy }
      },
      'IMAGE_MISMATCH',
      'BOOT_CONFIG_INVALID',
    )
    assert.match(words, /rootfs/i)
  }),
  check('manifest-broken', 'an image manifest that is no JSON', async (context) => {
    const scratch = context.scratch()
    const copy = copyImage(context.image, scratch.path('image'))
    writeFileSync(join(copy.dir, 'manifest.json'), '{')
    const { code, stdout } = await context.command(bootArguments(scratch, copy), scratch, {}, 'open')
    const result = BootResult.parse(JSON.parse(stdout))
    assert.equal(result.ok, false)
    assert.match(result.error?.message ?? '', /manifest/i)
    assert.equal(code, 65)
  }),
]
