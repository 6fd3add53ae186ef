import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makeMemories, ramDigest } from '../vm/launcher.ts'
import type { MachineConfig } from '../vm/qemu-args.ts'
import { Golden } from './golden.ts'
import { HEAD_BYTES } from './kernel.ts'
import { digestOfMemory } from './make.ts'
import { Authenticator, type GoldenManifest, goldenHash } from './manifest.ts'
import { GoldenStore } from './store.ts'

const MEMORY_MIB = 1
const config = { memoryMib: MEMORY_MIB } as MachineConfig

/** A snapshot of no VM: real memory files, a real manifest, one MiB. */
async function anyGolden(): Promise<Golden> {
  const { memories } = await makeMemories({
    ram: { kind: 'empty', bytes: MEMORY_MIB * 2 ** 20 },
    deviceState: { kind: 'empty', bytes: 4096 },
    kernelHead: { kind: 'empty', bytes: HEAD_BYTES },
  })
  const some = `sha256:${'1'.repeat(64)}`
  const manifest: GoldenManifest = {
    schema: 'bsm-golden/1',
    kernel: some,
    initrd: some,
    rootfs: some,
    cmdline: 'console=hvc0',
    cpus: 1,
    memory_mib: MEMORY_MIB,
    backend: 'qemu',
    accelerator: 'tcg',
    machine: 'virt',
    qemu_version: '7.2.0',
    device_state: digestOfMemory(memories.deviceState),
    ram: await ramDigest(memories.ram),
    nonce: 'a'.repeat(64),
    image_digest: null,
    created_at: new Date(0).toISOString(),
  }
  return new Golden({
    config,
    nonce: manifest.nonce,
    createdAt: manifest.created_at,
    qemuVersion: manifest.qemu_version,
    ...memories,
    measure: async () => await Promise.resolve(manifest),
    isFresh: true,
    spare: null,
  })
}

describe('the golden store', () => {
  let folder: string
  let store: GoldenStore
  let unhandled: unknown[]
  const note = (reason: unknown) => unhandled.push(reason)

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'bsm-store-'))
    store = new GoldenStore(join(folder, 'state'), new Authenticator(join(folder, 'key')))
    unhandled = []
    process.on('unhandledRejection', note)
  })
  afterEach(() => {
    process.off('unhandledRejection', note)
    rmSync(folder, { recursive: true, force: true })
  })

  async function kept(): Promise<{ directory: string; manifest: GoldenManifest }> {
    const golden = await anyGolden()
    const manifest = await golden.manifest
    await store.keep(golden, new AbortController().signal)
    golden.close()
    return { directory: store.path(goldenHash(manifest).slice('sha256:'.length)), manifest }
  }

  it('loads what it kept', async () => {
    const { directory, manifest } = await kept()
    const golden = await store.load(directory, manifest, config)
    await golden.verified()
    expect(await golden.manifest).toEqual(manifest)
    golden.close()
  })

  it('says that the RAM is corrupt to whoever asks, also long after it was found', async () => {
    const { directory, manifest } = await kept()
    writeFileSync(join(directory, 'ram'), Buffer.alloc(MEMORY_MIB * 2 ** 20, 1))
    const golden = await store.load(directory, manifest, config)
    // Hashed again from its start, and in another process: by then the store's own hashing has ended.
    await ramDigest(golden.ram)
    await ramDigest(golden.ram)
    expect(unhandled).toEqual([])
    await expect(golden.verified()).rejects.toMatchObject({ code: 'SNAPSHOT_CORRUPT' })
    golden.close()
  })
})
