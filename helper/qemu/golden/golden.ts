import { closeSync, fstatSync } from 'node:fs'
import type { Disk } from '../disk.ts'
import { hypervisorError, within } from '../deadline.ts'
import type { Memory } from '../vm/launcher.ts'
import { FD, type MachineConfig } from '../vm/qemu-args.ts'
import { QemuProcess } from '../vm/qemu-process.ts'
import type { Qmp } from '../vm/qmp.ts'
import { BsmError } from '../../../core/protocol/index.ts'
import { type GoldenManifest, goldenHash } from './manifest.ts'

/** A golden snapshot in sealed memory: what every VM is made from. */
export class Golden {
  readonly config: MachineConfig
  readonly nonce: string
  readonly ram: Memory
  readonly deviceState: Memory
  readonly createdAt: string
  readonly #kernelHead: Memory
  #spare: QemuProcess | null
  readonly #isFresh: boolean
  readonly #measure: () => Promise<GoldenManifest>
  #manifest: Promise<GoldenManifest> | null = null
  #known: { manifest: GoldenManifest; hash: string } | null = null
  /** What the first VM restored from it measured; null before. */
  baselines: { openFdCount: number; overlayBytes: number } | null = null
  readonly #qemuVersion: string

  constructor(parts: {
    config: MachineConfig
    nonce: string
    ram: Memory
    deviceState: Memory
    /** See `writeKernelHead`. */
    kernelHead: Memory
    createdAt: string
    qemuVersion: string
    /** Hashes the RAM, or takes the hash that was made on the way; called again only after it failed. */
    measure: () => Promise<GoldenManifest>
    /** Made by this helper, and hashed only to be named; else its bytes come from disk. */
    isFresh: boolean
    /** A restored QEMU that was started meanwhile, for the first who asks. */
    spare: QemuProcess | null
  }) {
    this.config = parts.config
    this.nonce = parts.nonce
    this.ram = parts.ram
    this.deviceState = parts.deviceState
    this.createdAt = parts.createdAt
    this.#qemuVersion = parts.qemuVersion
    this.#kernelHead = parts.kernelHead
    this.#spare = parts.spare
    this.#isFresh = parts.isFresh
    this.#measure = parts.measure
  }

  /** Resolves once the RAM is hashed, which begins when someone first asks. */
  get manifest(): Promise<GoldenManifest> {
    if (this.#manifest === null) {
      this.#manifest = this.#measure().then((manifest) => {
        this.#known = { manifest, hash: goldenHash(manifest) }
        return manifest
      })
      this.#manifest.catch(() => {
        this.#manifest = null
      })
    }
    return this.#manifest
  }

  /**
   * Nothing made from it may run before this resolves; it rejects with `SNAPSHOT_CORRUPT`. One that
   * this helper made itself is hashed only to be named, and is not waited for.
   */
  async verified(): Promise<void> {
    if (!this.#isFresh) await this.manifest
  }

  /** Null while the RAM is still being hashed. */
  get hash(): string | null {
    return this.#known?.hash ?? null
  }

  /** Bytes of memory it takes: what the guest never touched takes none. */
  get bytes(): number {
    return [this.ram, this.deviceState].reduce((sum, { fd }) => sum + fstatSync(fd).blocks * 512, 0)
  }

  /** Device state is only promised to fit the QEMU that wrote it. */
  checkQemuVersion(version: string): void {
    if (version !== this.#qemuVersion)
      throw new BsmError(
        'SNAPSHOT_INCOMPATIBLE',
        'helper',
        `The golden snapshot was made by QEMU ${this.#qemuVersion}, and this is ${version}.`,
        { nextStep: 'A new one is made by a cold boot.' },
      )
  }

  /** A new QEMU that waits for {@link load}. */
  async startRestored(disk: Disk, niceness: number): Promise<QemuProcess> {
    const spare = this.#spare
    this.#spare = null
    if (spare?.exit === null) return spare
    return await startRestored(this.config, { ...this, kernelHead: this.#kernelHead }, disk, niceness)
  }

  close(): void {
    void this.#spare?.kill().catch(() => undefined)
    this.ram.close()
    this.deviceState.close()
    this.#kernelHead.close()
  }
}

type RestoredMemories = { ram: Memory; deviceState: Memory; kernelHead: Memory }

/** Starts a QEMU that waits for device state; also before there is any, for it reads nothing yet. */
export async function startRestored(
  config: MachineConfig,
  { ram, deviceState, kernelHead }: RestoredMemories,
  disk: Disk,
  niceness: number,
): Promise<QemuProcess> {
  const state = deviceState.reopen()
  try {
    return await QemuProcess.start(
      config,
      { kind: 'restored' },
      { ram: ram.fd, rootfs: disk.fd, kernel: kernelHead.fd, deviceState: state, initrd: null },
      niceness,
    )
  } finally {
    closeSync(state)
  }
}

// ---------------------------------------------------------------- device state in and out

const DEVICE_STATE_DEADLINE_MS = 30_000

/**
 * Has a stopped VM write the state of its devices. Its RAM lies in a shared file already, and its flash,
 * 128 MB that no guest of ours has written to, is the same zeros in every QEMU: a migration would read
 * all of it, and each restored VM would hold it in memory.
 */
export async function saveDeviceState(qmp: Qmp): Promise<void> {
  const filename = `/proc/self/fd/${FD.state}`
  await qmp.execute('xen-save-devices-state', { filename, live: false }, DEVICE_STATE_DEADLINE_MS)
}

/** Has a QEMU started with `-incoming defer` take device state; it is paused then. */
export async function loadDeviceState(qmp: Qmp): Promise<void> {
  await qmp.execute('migrate-set-capabilities', { capabilities: [{ capability: 'events', state: true }] })
  let stopListening: () => void = () => undefined
  const ended = new Promise<string>((resolve) => {
    stopListening = qmp.on(({ event, data }) => {
      const status = data?.['status']
      if (event === 'MIGRATION' && (status === 'completed' || status === 'failed')) resolve(status)
    })
  })
  try {
    await qmp.execute('migrate-incoming', { uri: `fd:${FD.state}` })
    const status = await within(DEVICE_STATE_DEADLINE_MS, Promise.race([ended, qmp.ended]), () =>
      hypervisorError('QEMU did not finish loading device state.', 'Start again.'),
    )
    if (status !== 'completed') throw hypervisorError('QEMU could not load device state.', 'Start again.')
  } finally {
    stopListening()
  }
}
