import { closeSync } from 'node:fs'
import { BsmError } from '../../../core/protocol/index.ts'
import type { BootConfig } from '../boot-config.ts'
import { now } from '../deadline.ts'
import { Disk, hashDescriptor } from '../disk.ts'
import type { Golden } from '../golden/golden.ts'
import { makeGolden, type MeasuredImage, partsOf } from '../golden/make.ts'
import type { GoldenStore } from '../golden/store.ts'
import type { PreparedVm } from '../reset/prepare.ts'
import type { MachineConfig } from '../vm/qemu-args.ts'

export type BootPhase = { name: string; ms: number }

/** The first VM and everything it and all later ones are made from, verified. */
export type Booted = {
  golden: Golden
  disk: Disk
  first: PreparedVm
  /** SHA-256 of the rootfs: of the image manifest, or measured before the first boot. */
  fsHashBaseline: string
  /** Null when a golden snapshot was there and good. */
  coldBootReason: string | null
}

export type BootInput = {
  config: BootConfig
  machine: MachineConfig
  store: GoldenStore
  /** Restores a VM from golden; rejects with `SNAPSHOT_*` when that turns out to be unusable. */
  prepare: (golden: Golden, disk: Disk) => Promise<PreparedVm>
  phase: (name: string) => void
  console: (text: string) => void
  warn: (message: string) => void
  signal: AbortSignal
}

/** A clock that names what ended and how long it took. */
export function phaseClock(): { phases: BootPhase[]; ended: (name: string) => void } {
  const phases: BootPhase[] = []
  let mark = now()
  return {
    phases,
    ended: (name) => {
      phases.push({ name, ms: now() - mark })
      mark = now()
    },
  }
}

/** Restores the golden snapshot of this image, or makes one by a cold boot and restores that. */
export async function bootFirst(input: BootInput): Promise<Booted> {
  const { config } = input
  const disk = new Disk(config.rootfsPath)
  try {
    return await new FirstBoot(input, disk).run()
  } catch (error) {
    disk.close()
    throw error
  } finally {
    closeSync(config.kernelFd)
    if (config.initrdFd !== null) closeSync(config.initrdFd)
  }
}

class FirstBoot {
  readonly #input: BootInput
  readonly #disk: Disk
  #coldBootReason = 'There was no golden snapshot yet.'

  constructor(input: BootInput, disk: Disk) {
    this.#input = input
    this.#disk = disk
  }

  async run(): Promise<Booted> {
    const { config, store } = this.#input
    if (config.savedState !== null) return await this.#restore(config.savedState)
    for (const name of store.list()) {
      try {
        return await this.#restore(store.path(name))
      } catch (thrown) {
        this.#setAside(name, BsmError.from(thrown, 'helper'))
      }
    }
    return await this.#coldBoot()
  }

  async #restore(directory: string): Promise<Booted> {
    const { store, machine, phase } = this.#input
    const measured = await this.#digests()
    const golden = await store.load(directory, { ...partsOf(machine, ''), ...measured }, machine)
    phase('snapshot')
    try {
      return await this.#prepared(golden, measured, null)
    } catch (error) {
      golden.close()
      throw error
    }
  }

  async #coldBoot(): Promise<Booted> {
    const { config, machine, phase, console, signal } = this.#input
    const { golden, measured } = await makeGolden({
      config: machine,
      kernelFd: config.kernelFd,
      initrdFd: config.initrdFd,
      disk: this.#disk,
      image: config.image,
      phase,
      console,
      signal,
    })
    return await this.#prepared(golden, measured, this.#coldBootReason)
  }

  async #prepared(golden: Golden, measured: MeasuredImage, coldBootReason: string | null): Promise<Booted> {
    const first = await this.#input.prepare(golden, this.#disk)
    this.#input.phase('restore')
    return { golden, disk: this.#disk, first, fsHashBaseline: measured.rootfs, coldBootReason }
  }

  /** Only what is wrong with the snapshot itself is mended by another boot; the rest is the caller's. */
  #setAside(name: string, error: BsmError): void {
    if (error.code !== 'SNAPSHOT_CORRUPT' && error.code !== 'SNAPSHOT_INCOMPATIBLE') throw error
    this.#input.store.setAside(name, error)
    this.#coldBootReason = `${error.code}: ${error.message}`
    this.#input.warn(this.#coldBootReason)
  }

  /**
   * Digests to look a snapshot up by. Kernel and initrd of an image with a manifest are the manifest's:
   * their bytes are checked before every cold boot and used in no other (§4). The disk is used in every
   * boot and always measured.
   */
  async #digests(): Promise<MeasuredImage> {
    const { image, kernelFd, initrdFd } = this.#input.config
    const rootfs = await this.#disk.hash()
    if (image === null)
      return {
        kernel: await hashDescriptor(kernelFd),
        initrd: initrdFd === null ? null : await hashDescriptor(initrdFd),
        rootfs,
      }
    if (rootfs !== image.rootfs.digest)
      throw new BsmError(
        'IMAGE_MISMATCH',
        'helper',
        "The rootfs is not the one that the image's manifest names.",
        {
          nextStep: 'Build the guest image again (npm run guest), or give the files of one image.',
        },
      )
    return { kernel: image.kernel.digest, initrd: initrdFd === null ? null : image.initrd.digest, rootfs }
  }
}
