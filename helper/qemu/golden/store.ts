import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { BsmError } from '../../../core/protocol/index.ts'
import { isErrno } from '../evidence/chain-file.ts'
import { copySparse, makeMemories } from '../vm/launcher.ts'
import type { MachineConfig } from '../vm/qemu-args.ts'
import { Golden } from './golden.ts'
import { HEAD_BYTES, writeKernelHead } from './kernel.ts'
import { digestOfMemory } from './make.ts'
import {
  type Authenticator,
  Baselines,
  differences,
  GoldenManifest,
  goldenHash,
  type GoldenParts,
} from './manifest.ts'

/** What must be equal in a golden snapshot for it to be used. QEMU's version is checked when it runs. */
export type WantedParts = Omit<GoldenParts, 'qemu_version'>

const FILE = {
  manifest: 'manifest.json',
  ram: 'ram',
  deviceState: 'device_state',
  baselines: 'baselines.json',
} as const
const MANIFEST_BYTES = 64 * 1024
/** Snapshots that were set aside are kept for a look, the latest two. */
const SET_ASIDE_KEPT = 2
const MAKING = '.making-'

/** Golden snapshots on disk: `golden/<hash>/{manifest.json, ram, device_state, baselines.json}`. */
export class GoldenStore {
  readonly #directory: string
  readonly #authenticator: Authenticator

  constructor(stateDir: string, authenticator: Authenticator) {
    this.#directory = join(stateDir, 'golden')
    this.#authenticator = authenticator
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
  }

  /** Removes what a helper that died left half made. Only for whoever owns the state directory. */
  sweep(): string[] {
    const leftovers = readdirSync(this.#directory).filter((name) => name.startsWith(MAKING))
    for (const name of leftovers) rmSync(join(this.#directory, name), { recursive: true, force: true })
    return leftovers
  }

  /** Names of the snapshots there are, newest first. */
  list(): string[] {
    return readdirSync(this.#directory)
      .filter((name) => /^[0-9a-f]{64}$/.test(name))
      .map((name) => ({ name, at: statSync(join(this.#directory, name)).mtimeMs }))
      .sort((a, b) => b.at - a.at)
      .map(({ name }) => name)
  }

  path(name: string): string {
    return join(this.#directory, name)
  }

  /**
   * Opens the snapshot in `directory`. Throws `SNAPSHOT_CORRUPT` or `SNAPSHOT_INCOMPATIBLE`; a RAM of
   * wrong bytes shows later, in the rejection of {@link Golden.manifest}.
   */
  async load(directory: string, wanted: WantedParts, config: MachineConfig): Promise<Golden> {
    const { manifest, fds } = this.#openFiles(directory, wanted)
    try {
      const { memories, digest } = await makeMemories({
        deviceState: { kind: 'copy', fd: fds.deviceState },
        kernelHead: { kind: 'empty', bytes: HEAD_BYTES },
        ram: { kind: 'ram', fd: fds.ram },
      })
      writeKernelHead(memories.kernelHead)
      // QEMU parses it, so it is checked before any sees it; the RAM is only mapped, and hashed meanwhile.
      if (digestOfMemory(memories.deviceState) !== manifest.device_state) {
        for (const memory of Object.values(memories)) memory.close()
        throw corrupt(directory, 'its device state is not the one that its manifest names')
      }
      const verified = digest('ram').then((ram) => {
        if (ram !== manifest.ram) throw corrupt(directory, 'its bytes are not those that its manifest names')
        return manifest
      })
      // It may reject before anyone has asked; whoever asks still sees it.
      verified.catch(() => undefined)
      const golden = new Golden({
        config,
        nonce: manifest.nonce,
        createdAt: manifest.created_at,
        qemuVersion: manifest.qemu_version,
        ...memories,
        measure: async () => await verified,
        isFresh: false,
        spare: null,
      })
      golden.baselines = this.#readBaselines(directory, goldenHash(manifest))
      return golden
    } finally {
      closeSync(fds.ram)
      closeSync(fds.deviceState)
    }
  }

  /** Puts a snapshot out of the way under a name that says why. */
  setAside(name: string, error: BsmError): void {
    const why = error.code === 'SNAPSHOT_INCOMPATIBLE' ? 'incompatible' : 'corrupt'
    renameSync(this.path(name), this.path(`${name}.${why}-${Date.now()}`))
    const aside = readdirSync(this.#directory)
      .filter((each) => /\.(corrupt|incompatible)-\d+$/.test(each))
      .sort((a, b) => Number(b.split('-').at(-1)) - Number(a.split('-').at(-1)))
    for (const old of aside.slice(SET_ASIDE_KEPT)) rmSync(this.path(old), { recursive: true, force: true })
  }

  /** Writes a golden snapshot under its hash. */
  async keep(golden: Golden, signal: AbortSignal): Promise<void> {
    const hash = goldenHash(await golden.manifest)
    await this.write(golden, this.path(hash.slice('sha256:'.length)), signal)
  }

  /**
   * Writes a snapshot as the directory `target`, whole or not at all; it must not exist.
   * Resolves with the bytes on disk.
   */
  async write(golden: Golden, target: string, signal: AbortSignal): Promise<number> {
    const manifest = await golden.manifest
    const making = join(
      dirname(target),
      `${MAKING}${basename(target).slice(0, 16)}-${randomBytes(4).toString('hex')}`,
    )
    try {
      await mkdir(making, { mode: 0o700 })
      await writeSparse(join(making, FILE.ram), golden.ram.fd, signal)
      await writeSparse(join(making, FILE.deviceState), golden.deviceState.fd, signal)
      await writeSynced(join(making, FILE.manifest), this.#authenticator.sign(manifest))
      if (golden.baselines !== null) await this.#writeBaselines(making, golden, goldenHash(manifest))
      const bytes = await bytesOnDisk(making)
      signal.throwIfAborted()
      await rename(making, target)
      return bytes
    } catch (cause) {
      // What cannot be removed now is swept by the next start.
      await rm(making, { recursive: true, force: true }).catch(() => undefined)
      throw writeFailure(target, cause)
    }
  }

  /** Adds the baselines to a snapshot that is on disk without them. */
  async keepBaselines(golden: Golden): Promise<void> {
    const hash = goldenHash(await golden.manifest)
    await this.#writeBaselines(this.path(hash.slice('sha256:'.length)), golden, hash)
  }

  #openFiles(directory: string, wanted: WantedParts) {
    const opened: number[] = []
    const openPart = (name: string): number => {
      const fd = openSync(
        join(directory, name),
        constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
      )
      opened.push(fd)
      if (!fstatSync(fd).isFile()) throw new Error(`${name} is not a file`)
      return fd
    }
    try {
      const manifestFd = openPart(FILE.manifest)
      if (fstatSync(manifestFd).size > MANIFEST_BYTES) throw new Error('its manifest is too long')
      const manifest = this.#authenticator.open(readFileSync(manifestFd, 'utf8'), GoldenManifest)
      const differing = differences({ ...wanted, qemu_version: manifest.qemu_version }, manifest)
      if (differing.length > 0)
        throw new BsmError(
          'SNAPSHOT_INCOMPATIBLE',
          'helper',
          `The snapshot ${directory} was made of other parts (${differing.join(', ')}).`,
          { nextStep: 'A new one is made by a cold boot.' },
        )
      const ram = openPart(FILE.ram)
      if (fstatSync(ram).size !== manifest.memory_mib * 2 ** 20) throw new Error('its RAM has another size')
      const deviceState = openPart(FILE.deviceState)
      closeSync(manifestFd)
      return { manifest, fds: { ram, deviceState } }
    } catch (cause) {
      for (const fd of opened) closeSync(fd)
      throw cause instanceof BsmError
        ? cause
        : corrupt(directory, 'it cannot be read or is not authentic', cause)
    }
  }

  #readBaselines(directory: string, hash: string): Golden['baselines'] {
    try {
      const text = readFileSync(join(directory, FILE.baselines), 'utf8')
      const baselines = this.#authenticator.open(text, Baselines)
      if (baselines.golden_hash !== hash) return null
      return { openFdCount: baselines.open_fd_count, overlayBytes: baselines.overlay_bytes }
    } catch {
      return null // measured again, on the first VM that is restored
    }
  }

  async #writeBaselines(directory: string, golden: Golden, hash: string): Promise<void> {
    if (golden.baselines === null) return
    const value: Baselines = {
      golden_hash: hash,
      open_fd_count: golden.baselines.openFdCount,
      overlay_bytes: golden.baselines.overlayBytes,
    }
    await writeSynced(join(directory, FILE.baselines), this.#authenticator.sign(value))
  }
}

function corrupt(directory: string, why: string, cause?: unknown): BsmError {
  return new BsmError('SNAPSHOT_CORRUPT', 'helper', `The snapshot ${directory} is corrupt: ${why}.`, {
    nextStep: 'It is set aside and a new one is made by a cold boot.',
    ...(cause === undefined ? {} : { cause }),
  })
}

function writeFailure(target: string, cause: unknown): BsmError {
  const noSpace = isErrno(cause, 'ENOSPC') || /no space left/i.test(String(cause))
  return new BsmError(
    'VM_LIFECYCLE_ERROR',
    'helper',
    noSpace
      ? `The disk is full: ${target} could not be written.`
      : `The snapshot ${target} could not be written.`,
    { nextStep: noSpace ? 'Free space on that disk.' : 'Look at the directory and its permissions.', cause },
  )
}

async function writeSparse(path: string, from: number, signal: AbortSignal): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await copySparse(from, file.fd, signal)
  } finally {
    await file.close()
  }
}

async function writeSynced(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function bytesOnDisk(directory: string): Promise<number> {
  let bytes = 0
  for (const name of [FILE.manifest, FILE.ram, FILE.deviceState])
    bytes += (await stat(join(directory, name))).blocks * 512
  return bytes
}
