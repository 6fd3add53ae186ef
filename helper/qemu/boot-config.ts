import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  readSync,
  type Stats,
  statSync,
} from 'node:fs'
import { availableParallelism, totalmem } from 'node:os'
import { dirname, isAbsolute, join } from 'node:path'
import { BsmError, type ImageFile, ImageManifest, LIMITS } from '../../core/protocol/index.ts'
import { isErrno } from './evidence/chain-file.ts'

/** What `boot` was asked for, as the command line gave it (§1). */
export type BootOptions = {
  kernel?: string | undefined
  rootfs?: string | undefined
  initrd?: string | undefined
  cmdline: string
  cpus: string
  memoryMib: string
  savedState?: string | undefined
}

/** The same, checked: every file is open, so that nothing can be exchanged after the check. */
export type BootConfig = {
  kernelFd: number
  initrdFd: number | null
  rootfsPath: string
  /** Null: no `manifest.json` beside the rootfs. The image is measured before its first boot. */
  image: ImageManifest | null
  cmdline: string
  cpus: number
  memoryMib: number
  savedState: string | null
}

/** Facts of the host, apart, so that tests can have another one. */
export type HostFacts = { maxCpus: number; memoryMib: number; availableMemoryMib: number }

const invalid = (message: string, nextStep: string, cause?: unknown): BsmError =>
  new BsmError('BOOT_CONFIG_INVALID', 'helper', message, {
    nextStep,
    ...(cause === undefined ? {} : { cause }),
  })

/** Checks everything before anything starts; throws `BOOT_CONFIG_INVALID` with one sentence (§1). */
export function checkBootConfig(options: BootOptions, host: HostFacts = hostFacts()): BootConfig {
  const cpus = wholeNumber('--cpus', options.cpus)
  if (cpus < 1) throw invalid('A VM needs at least 1 CPU.', 'Give --cpus 1 or more.')
  if (cpus > host.maxCpus)
    throw invalid(
      `This host allows at most ${host.maxCpus} CPUs, not ${cpus}.`,
      `Give --cpus ${host.maxCpus} or less.`,
    )
  const memoryMib = wholeNumber('--memory-mib', options.memoryMib)
  if (memoryMib < LIMITS.minMemoryMib)
    throw invalid(
      `A VM needs at least ${LIMITS.minMemoryMib} MiB of memory, not ${memoryMib}.`,
      `Give --memory-mib ${LIMITS.minMemoryMib} or more.`,
    )
  if (memoryMib > host.memoryMib)
    throw invalid(
      `This host has ${host.memoryMib} MiB of memory; ${memoryMib} MiB are wanted.`,
      'Give a smaller --memory-mib.',
    )
  // Of the moment, and so no fault of the configuration: a later try may find more.
  if (memoryMib > host.availableMemoryMib)
    throw new BsmError(
      'VM_LIFECYCLE_ERROR',
      'helper',
      `There is not enough memory: ${memoryMib} MiB are wanted, ${host.availableMemoryMib} MiB are available.`,
      { nextStep: 'Close other programs or give a smaller --memory-mib.' },
    )
  const kernelPath = required('kernel', options.kernel)
  const rootfsPath = required('rootfs', options.rootfs)
  const image = readManifest(join(dirname(rootfsPath), 'manifest.json'))
  const opened: number[] = []
  try {
    const kernelFd = openChecked(
      'kernel',
      kernelPath,
      image?.kernel,
      (fd) => checkKernel(fd, kernelPath),
      opened,
    )
    const initrdFd =
      options.initrd === undefined
        ? null
        : openChecked('initrd', options.initrd, image?.initrd, checkNotEmpty(options.initrd), opened)
    openChecked('rootfs', rootfsPath, image?.rootfs, checkRootfs(rootfsPath), opened)
    closeSync(opened.pop() ?? -1) // the rootfs is opened for good, once, by Disk
    if (options.savedState !== undefined) checkSavedState(options.savedState)
    return {
      kernelFd,
      initrdFd,
      rootfsPath,
      image,
      cmdline: options.cmdline,
      cpus,
      memoryMib,
      savedState: options.savedState ?? null,
    }
  } catch (error) {
    for (const fd of opened) closeSync(fd)
    throw error
  }
}

export function hostFacts(): HostFacts {
  const available = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))
  return {
    // Two even on a host of one: the contract's default must boot everywhere.
    maxCpus: Math.max(2, availableParallelism()),
    memoryMib: Math.floor(totalmem() / 2 ** 20),
    availableMemoryMib: Math.floor(Number(available?.[1] ?? 0) / 1024),
  }
}

/** That it is one at all; whether it is authentic shows when it is loaded. */
function checkSavedState(path: string): void {
  if (!isAbsolute(path))
    throw invalid('--saved-state is not an absolute path.', 'Give the absolute path of a saved state.')
  let isDirectory: boolean
  try {
    isDirectory = statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
  } catch (cause) {
    throw invalid(`The saved state ${path} cannot be looked at.`, 'Correct the path.', cause)
  }
  if (!isDirectory)
    throw invalid(`There is no saved state ${path}.`, 'Give a directory that save-state made.')
}

function wholeNumber(option: string, text: string): number {
  if (!/^\d{1,9}$/.test(text))
    throw invalid(`${option} "${text}" is not a whole number.`, `Give ${option} a whole number.`)
  return Number(text)
}

function required(what: string, path: string | undefined): string {
  if (path === undefined) throw invalid(`No ${what} was given.`, `Give --${what} and its absolute path.`)
  return path
}

function openChecked(
  what: string,
  path: string,
  expected: ImageFile | undefined,
  check: (fd: number, facts: Stats) => void,
  opened: number[],
): number {
  if (!isAbsolute(path))
    throw invalid(`The ${what} "${path}" is not an absolute path.`, 'Give absolute paths.')
  const fd = openRegular(what, path)
  opened.push(fd)
  const facts = fstatSync(fd)
  if (!facts.isFile())
    throw invalid(`The ${what} ${path} is not a regular file.`, `Give a file as --${what}.`)
  // A kernel of another kind is said to be that before its length is looked at.
  if (what === 'kernel') check(fd, facts)
  if (expected !== undefined && facts.size < expected.size)
    throw invalid(
      `The ${what} ${path} is truncated: it has ${facts.size} of the ${expected.size} bytes its manifest names.`,
      'Build the guest image again (npm run guest).',
    )
  if (what !== 'kernel') check(fd, facts)
  return fd
}

function openRegular(what: string, path: string): number {
  try {
    // Not blocking: a FIFO in place of a file must not hold the boot for ever.
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (cause) {
    if (isErrno(cause, 'ENOENT'))
      throw invalid(
        `The ${what} ${path} does not exist.`,
        'Build the guest image (npm run guest), or correct the path.',
      )
    if (isErrno(cause, 'EACCES') || isErrno(cause, 'EPERM'))
      throw invalid(`The ${what} ${path} may not be read.`, `Make it readable: chmod +r ${path}`)
    throw invalid(`The ${what} ${path} cannot be opened.`, 'Look at the file.', cause)
  }
}

/** A regular file may still refuse to be read: a file of /proc, a bad sector, a server that is gone. */
function readHeader(fd: number, path: string, header: Buffer): number {
  try {
    return readSync(fd, header, 0, header.length, 0)
  } catch (cause) {
    throw invalid(`The kernel ${path} cannot be read.`, 'Look at the file and at the disk it is on.', cause)
  }
}

const HEADER_BYTES = 0x206
/** `Documentation/arm64/booting.rst`: the magic number of an Image. */
const ARM64_MAGIC = { at: 56, bytes: Buffer.from('ARM\x64', 'latin1') }

function checkKernel(fd: number, path: string): void {
  const header = Buffer.alloc(HEADER_BYTES)
  const length = readHeader(fd, path, header)
  const starts = (at: number, bytes: string): boolean =>
    header.subarray(at, at + bytes.length).equals(Buffer.from(bytes, 'latin1'))
  if (length === 0) throw invalid(`The kernel ${path} is empty.`, 'Give an uncompressed ARM64 Image.')
  // An EFI zboot file is a PE like every Image with an EFI stub, so it is told apart first.
  if (starts(0, 'MZ') && starts(4, 'zimg'))
    throw invalid(
      `The kernel ${path} is a compressed EFI zboot image.`,
      'Extract the Image from it, or give the uncompressed ARM64 Image.',
    )
  if (header.subarray(ARM64_MAGIC.at, ARM64_MAGIC.at + 4).equals(ARM64_MAGIC.bytes)) return
  if (starts(0x202, 'HdrS'))
    throw invalid(
      `The kernel ${path} is a bzImage, which is for x86.`,
      'Give an uncompressed ARM64 Image; linux-image-cloud-arm64 has one.',
    )
  if (starts(0, '\x1f\x8b'))
    throw invalid(`The kernel ${path} is compressed with gzip.`, `Uncompress it: gunzip < ${path} > Image`)
  if (starts(0, '\x7fELF'))
    throw invalid(
      `The kernel ${path} is an ELF file (vmlinux).`,
      'Give the Image made from it: objcopy -O binary vmlinux Image',
    )
  throw invalid(`The kernel ${path} is not an ARM64 Image.`, 'Give an uncompressed ARM64 Image.')
}

const checkNotEmpty = (path: string) => (_fd: number, facts: Stats) => {
  if (facts.size === 0)
    throw invalid(`The initrd ${path} is empty.`, 'Build the guest image again (npm run guest).')
}

const SECTOR_BYTES = 512

const checkRootfs = (path: string) => (_fd: number, facts: Stats) => {
  if (facts.size === 0)
    throw invalid(`The rootfs ${path} is empty.`, 'Build the guest image again (npm run guest).')
  if (facts.size % SECTOR_BYTES !== 0)
    throw invalid(
      `The rootfs ${path} has ${facts.size} bytes, which is not a multiple of ${SECTOR_BYTES}.`,
      'It was cut off: build the guest image again (npm run guest).',
    )
}

function readManifest(path: string): ImageManifest | null {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    if (isErrno(cause, 'ENOENT') || isErrno(cause, 'ENOTDIR')) return null
    throw invalid(`The image's manifest ${path} cannot be read.`, 'Look at the file.', cause)
  }
  try {
    return ImageManifest.parse(JSON.parse(text))
  } catch (cause) {
    throw invalid(
      `The image's manifest ${path} is damaged.`,
      'Build the guest image again (npm run guest).',
      cause,
    )
  }
}
