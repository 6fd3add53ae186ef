import {
  BsmError,
  type Hello,
  type ImageManifest,
  PORTS,
  canonicalJson,
} from '../../../core/protocol/index.ts'
import { createHash } from 'node:crypto'
import { readSync } from 'node:fs'
import { hypervisorError, within } from '../deadline.ts'
import { type Disk, hashDescriptor } from '../disk.ts'
import { GuestVm } from '../vm/guest-vm.ts'
import { makeMemories, type Memory, ramDigest, sealMemories } from '../vm/launcher.ts'
import { MACHINE, type MachineConfig } from '../vm/qemu-args.ts'
import { describeExit, QemuProcess } from '../vm/qemu-process.ts'
import { Golden, saveDeviceState, startRestored } from './golden.ts'
import { HEAD_BYTES, loadKernel, writeKernelHead } from './kernel.ts'
import type { GoldenManifest, GoldenParts } from './manifest.ts'

/** Emulated ARM64 on a busy machine boots in seconds; a minute means that it will not. */
const BOOT_DEADLINE_MS = 60_000
const QMP_DEADLINE_MS = 15_000
const GUEST_DEADLINE_MS = 10_000

export type ColdBootInput = {
  config: MachineConfig
  kernelFd: number
  initrdFd: number | null
  disk: Disk
  /** Null: an image without a manifest is measured, and nothing to compare with. */
  image: ImageManifest | null
  phase: (name: string) => void
  console: (text: string) => void
  signal: AbortSignal
}

/** Digests of the bytes that this boot uses. */
export type MeasuredImage = { kernel: string; initrd: string | null; rootfs: string }

/**
 * Boots the image once and freezes it for good. The golden VM never accepted a `Resume`, is killed after
 * the save, and is never continued (§4).
 */
export async function makeGolden(input: ColdBootInput): Promise<{ golden: Golden; measured: MeasuredImage }> {
  const { config, kernelFd, initrdFd } = input
  // Sealed copies: QEMU and the digest read the same bytes, whatever happens to the files meanwhile.
  const { memories } = await makeMemories({
    ram: { kind: 'empty', bytes: config.memoryMib * 2 ** 20 },
    deviceState: { kind: 'empty', bytes: 0 },
    kernelHead: { kind: 'empty', bytes: HEAD_BYTES },
    kernel: { kind: 'copy', fd: kernelFd },
    initrd: initrdFd === null ? { kind: 'empty', bytes: 0 } : { kind: 'copy', fd: initrdFd },
  })
  input.phase('memory')
  try {
    return await bootAndSave(input, memories)
  } catch (error) {
    memories.ram.close()
    memories.deviceState.close()
    memories.kernelHead.close()
    throw error
  } finally {
    memories.kernel.close()
    memories.initrd.close()
  }
}

type Memories = Record<'ram' | 'deviceState' | 'kernelHead' | 'kernel' | 'initrd', Memory>

async function bootAndSave(
  input: ColdBootInput,
  memories: Memories,
): Promise<{ golden: Golden; measured: MeasuredImage }> {
  const { config, disk, phase } = input
  const withInitrd = input.initrdFd !== null
  writeKernelHead(memories.kernelHead, memories.kernel)
  const loading = loadKernel(memories.kernel, memories.ram)
  loading.catch(() => undefined)
  const measuring = measure(memories, withInitrd, disk)
  measuring.catch(() => undefined)
  const qemu = await QemuProcess.start(
    config,
    { kind: 'golden', withInitrd },
    {
      ram: memories.ram.fd,
      rootfs: disk.fd,
      kernel: memories.kernelHead.fd,
      deviceState: memories.deviceState.fd,
      initrd: withInitrd ? memories.initrd.fd : null,
    },
    0,
  )
  const abort = () => void qemu.kill().catch(() => undefined)
  input.signal.addEventListener('abort', abort)
  if (input.signal.aborted) abort()
  let consoleTail = ''
  let spare: Promise<QemuProcess> | null = null
  const vm = new GuestVm(qemu, {
    channel: () => undefined,
    console: (line) => {
      consoleTail = `${consoleTail}${line}\n`.slice(-4096)
      input.console(line)
    },
    exited: () => undefined,
  })
  try {
    const guestReady = portOpened(vm)
    const qemuVersion = await qemu.qmp.ready(QMP_DEADLINE_MS).catch((error: unknown) => {
      throw startFailure(qemu, error)
    })
    phase('qemu')
    await loading
    const measured = await measuring
    if (input.image !== null) checkImage(measured, input.image)
    phase('image')
    await vm.run()
    await whileAlive(vm, consoleTailOf, guestReady)
    // The first VM's process starts while this one says Hello and is saved. Its view of the RAM is
    // private and untouched: it shows what the golden one left, once device state is loaded into it.
    spare = startRestored(config, memories, disk, 0)
    spare.catch(() => undefined)
    const hello = await greet(vm)
    if (input.image !== null) checkHello(hello, input.image)
    phase('kernel')
    vm.hangUp()
    await vm.pause()
    await saveDeviceState(qemu.qmp)
    await vm.kill()
    await sealMemories([memories.ram, memories.deviceState, memories.kernelHead])
    phase('save')
    const createdAt = new Date().toISOString()
    const parts: GoldenParts = { ...partsOf(config, qemuVersion), ...measured }
    const measure = async (): Promise<GoldenManifest> => ({
      schema: 'bsm-golden/1',
      ...parts,
      device_state: digestOfMemory(memories.deviceState),
      ram: await ramDigest(memories.ram),
      nonce: hello.ram_nonce,
      image_digest: input.image?.image_digest ?? null,
      created_at: createdAt,
    })
    const golden = new Golden({
      config,
      nonce: hello.ram_nonce,
      ram: memories.ram,
      deviceState: memories.deviceState,
      kernelHead: memories.kernelHead,
      createdAt,
      qemuVersion,
      measure,
      isFresh: true,
      spare: await spare,
    })
    return { golden, measured }
  } catch (error) {
    if (spare !== null) await spare.then(async (unused) => await unused.kill()).catch(() => undefined)
    throw error
  } finally {
    input.signal.removeEventListener('abort', abort)
    if (qemu.exit === null) await qemu.kill()
  }

  function consoleTailOf(): string {
    return consoleTail
  }
}

export function partsOf(
  config: MachineConfig,
  qemuVersion: string,
): Omit<GoldenParts, 'kernel' | 'initrd' | 'rootfs'> {
  return {
    cmdline: config.cmdline,
    cpus: config.cpus,
    memory_mib: config.memoryMib,
    backend: 'qemu',
    accelerator: config.accelerator,
    machine: MACHINE,
    qemu_version: qemuVersion,
  }
}

async function measure(memories: Memories, withInitrd: boolean, disk: Disk): Promise<MeasuredImage> {
  return {
    kernel: await hashDescriptor(memories.kernel.fd),
    initrd: withInitrd ? await hashDescriptor(memories.initrd.fd) : null,
    rootfs: await disk.hash(),
  }
}

/** Throws `IMAGE_MISMATCH` unless every file is the one that the manifest names (§4). */
export function checkImage(measured: MeasuredImage, image: ImageManifest): void {
  for (const part of ['kernel', 'initrd', 'rootfs'] as const)
    if (measured[part] !== image[part].digest)
      throw new BsmError(
        'IMAGE_MISMATCH',
        'helper',
        measured[part] === null
          ? `The image's manifest names an ${part}, and none was given.`
          : `The ${part} is not the one that the image's manifest names.`,
        { nextStep: 'Build the guest image again (npm run guest), or give the files of one image.' },
      )
}

function checkHello(hello: Hello, image: ImageManifest): void {
  const differs =
    hello.image_digest !== image.image_digest
      ? 'digest'
      : hello.image_version !== image.image_version
        ? 'version'
        : canonicalJson(hello.tools).equals(canonicalJson(image.tools))
          ? null
          : 'list of tools'
  if (differs !== null)
    throw new BsmError(
      'IMAGE_MISMATCH',
      'guest',
      `The guest's own ${differs} is not that of the image's manifest.`,
      {
        nextStep: 'Build the guest image again (npm run guest).',
      },
    )
  if (!hello.frozen || hello.ram_nonce === '')
    throw new BsmError('IMAGE_MISMATCH', 'guest', 'The guest was not born frozen with a nonce of its own.', {
      nextStep: 'Build the guest image again (npm run guest).',
    })
}

/** Resolves when the guest opens its control port: dialling before would only pile up records. */
async function portOpened(vm: GuestVm): Promise<void> {
  await new Promise<void>((resolve) => {
    const stop = vm.qemu.qmp.on(({ event, data }) => {
      if (event !== 'VSERPORT_CHANGE' || data?.['id'] !== `port${PORTS.control}` || data['open'] !== true)
        return
      stop()
      resolve()
    })
  })
}

async function greet(vm: GuestVm): Promise<Hello> {
  await vm.dial([PORTS.control], GUEST_DEADLINE_MS)
  return await vm.hello(GUEST_DEADLINE_MS)
}

async function whileAlive(vm: GuestVm, consoleTail: () => string, ready: Promise<void>): Promise<void> {
  const died = vm.qemu.exited.then((exit) => {
    throw hypervisorError(
      `The VM ended while it booted (${describeExit(exit)}).`,
      'Look at the guest console in the log; the image may not be one of ours.',
      vm.qemu.stderr || consoleTail(),
    )
  })
  died.catch(() => undefined)
  await within(
    BOOT_DEADLINE_MS,
    Promise.race([ready, died]),
    () =>
      new BsmError(
        'GUEST_UNREACHABLE',
        'guest',
        `The guest did not come up within ${BOOT_DEADLINE_MS / 1000} s.`,
        {
          nextStep: 'Look at the guest console in the log; the image may not be one of ours.',
          cause: consoleTail(),
        },
      ),
  )
}

function startFailure(qemu: QemuProcess, error: unknown): BsmError {
  const noMemory = /cannot (allocate|set up guest) memory|out of memory/i.test(qemu.stderr)
  return hypervisorError(
    noMemory ? 'There is not enough memory for the VM.' : 'QEMU did not start.',
    noMemory
      ? 'Close other programs or give the VM less memory.'
      : 'Look at the message below and at the preflight.',
    qemu.stderr || error,
  )
}

export function digestOfMemory(memory: Memory): string {
  const hash = createHash('sha256')
  const piece = Buffer.allocUnsafe(256 * 1024)
  for (let position = 0; ;) {
    const n = readSync(memory.fd, piece, 0, piece.length, position)
    if (n === 0) return `sha256:${hash.digest('hex')}`
    hash.update(piece.subarray(0, n))
    position += n
  }
}
