import { randomUUID } from 'node:crypto'
import { constants, closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BsmError } from '../../core/protocol/index.ts'
import { buildLauncher } from '../../build/bundle.ts'
import { Disk } from '../../helper/qemu/disk.ts'
import { Epochs } from '../../helper/qemu/epoch.ts'
import type { Golden } from '../../helper/qemu/golden/golden.ts'
import { makeGolden } from '../../helper/qemu/golden/make.ts'
import { prepareVm, type PreparedVm } from '../../helper/qemu/reset/prepare.ts'
import { swap } from '../../helper/qemu/reset/swap.ts'
import type { GuestVm } from '../../helper/qemu/vm/guest-vm.ts'
import { freshImage, type GuestImage } from '../support/image.ts'
import { Scratch } from '../support/scratch.ts'
import { VM_TEST_MS } from './bench.ts'

/**
 * A reset that does nothing. Nothing in the product can be told to do that, so the swap is called
 * here with what such a reset would hand it: the VM that was just used, as the new one. All three
 * sources then agree, and only the wipe's own proof can tell (wire-protocol §4).
 */
describe('a reset that did nothing', () => {
  const scratch = new Scratch('wipe')
  const alive: GuestVm[] = []
  let image: GuestImage
  let disk: Disk
  let golden: Golden
  let epochs: Epochs

  const ignore = (): void => undefined

  async function prepared(): Promise<PreparedVm> {
    const made = await prepareVm({
      golden,
      disk,
      epochs,
      niceness: 0,
      waitedSince: () => null,
      warmup: true,
      started: (vm) => alive.push(vm),
      phase: ignore,
    })
    return made
  }

  beforeAll(async () => {
    await buildLauncher()
    image = await freshImage()
    disk = new Disk(image.rootfs)
    epochs = new Epochs(scratch.stateDir, join(scratch.configDir, 'manifest.key'))
    const kernelFd = openSync(image.kernel, constants.O_RDONLY)
    const initrdFd = openSync(image.initrd, constants.O_RDONLY)
    try {
      const made = await makeGolden({
        config: { cpus: 1, memoryMib: 256, cmdline: image.manifest.cmdline, accelerator: 'tcg' },
        kernelFd,
        initrdFd,
        disk,
        image: image.manifest,
        phase: ignore,
        console: ignore,
        signal: new AbortController().signal,
      })
      golden = made.golden
    } finally {
      closeSync(kernelFd)
      closeSync(initrdFd)
    }
    await golden.manifest
    const first = await prepared()
    if (first.openFdCount === null || first.beat === null) throw new Error('a warmed-up VM was measured')
    golden.baselines = { openFdCount: first.openFdCount, overlayBytes: first.beat.overlay_bytes }
    await first.vm.kill()
  }, VM_TEST_MS)

  afterAll(async () => {
    for (const vm of alive) await vm.kill()
    golden.close()
    disk.close()
    scratch.remove()
  })

  const input = (over: Partial<Parameters<typeof swap>[0]> & { prepared: PreparedVm }) => ({
    old: null,
    golden,
    disk,
    fsHashBaseline: image.manifest.rootfs.digest,
    phase: ignore,
    ...over,
  })

  async function dispatch({ vm, key }: PreparedVm, command: string): Promise<string> {
    const execution = vm.execute(
      { command_id: randomUUID(), tool: 'sh', params: { command }, deadline_ms: 20_000 },
      key.epoch,
      { chunk: ignore, output: ignore },
    )
    return (await execution.done).result.stdout
  }

  /** The VM as it is, but for the methods given. */
  const pretending = (vm: GuestVm, lies: Partial<GuestVm>): GuestVm =>
    new Proxy(vm, {
      get: (target, name) => {
        const value: unknown = name in lies ? Reflect.get(lies, name) : Reflect.get(target, name)
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })

  it(
    'an honest swap passes: the ones below differ in one thing each',
    async () => {
      const old = await prepared()
      const next = await prepared()
      await next.vm.pause()
      const { report } = await swap(input({ old: old.vm, prepared: next }))
      expect(report.failed).toEqual([])
      expect(report.verification_passed).toBe(true)
      expect(report.wipe?.old?.exit).toMatch(/KILL|9/i)
    },
    VM_TEST_MS,
  )

  it(
    'the used VM handed back as the new one: three healthy sources, and the wipe is named',
    async () => {
      const used = await prepared()
      await used.vm.pause()
      expect((await swap(input({ prepared: used }))).report.verification_passed).toBe(true)
      expect(await dispatch(used, 'echo trace > ~/trace; cat ~/trace')).toBe('trace\n')

      const untouched = pretending(used.vm, { kill: async () => ({ code: null, signal: 'SIGKILL' }) })
      const { report } = await swap(input({ old: untouched, prepared: used }))

      expect(await dispatch(used, 'cat ~/trace'), 'indeed nothing was wiped').toBe('trace\n')
      expect(report.failed).toEqual(['wipe'])
      expect(report.verification_passed).toBe(false)
      expect(report.divergence_action).toBe('halt')
      expect(report.error?.code).toBe('RESET_VERIFICATION_DIVERGENCE')
      expect(report.fs_hash_match).toBe(true)
      expect(report.open_fd_count).toBe(report.open_fd_count_baseline)
      expect(report.vmm_api_state).toBe('running')
      expect(report.wipe?.dispatches).toBe(1)
      expect(report.wipe?.nonce_match).toBe(false)
    },
    VM_TEST_MS,
  )

  it(
    'an unused VM handed back as both, old and new',
    async () => {
      const one = await prepared()
      await one.vm.pause()
      const untouched = pretending(one.vm, { kill: async () => ({ code: null, signal: 'SIGKILL' }) })
      const { report } = await swap(input({ old: untouched, prepared: one }))
      expect(report.failed).toEqual(['wipe'])
    },
    VM_TEST_MS,
  )

  it(
    'an old VM whose end nobody saw',
    async () => {
      const [old, next] = [await prepared(), await prepared()]
      await next.vm.pause()
      const immortal = pretending(old.vm, {
        kill: () => Promise.reject(new BsmError('VM_LIFECYCLE_ERROR', 'hypervisor', 'It would not die.')),
      })
      const { report } = await swap(input({ old: immortal, prepared: next }))
      expect(report.failed).toEqual(['wipe'])
      expect(report.wipe?.old).toBeNull()
    },
    VM_TEST_MS,
  )

  it(
    'a VM of another golden snapshot: the nonce tells',
    async () => {
      const next = await prepared()
      await next.vm.pause()
      const other = new Proxy(golden, {
        get: (target, name) => {
          const value: unknown = name === 'nonce' ? 'ab'.repeat(32) : Reflect.get(target, name, target)
          return value
        },
      })
      const { report } = await swap(input({ golden: other, prepared: next }))
      expect(report.failed).toEqual(['wipe'])
      expect(report.wipe?.nonce_match).toBe(false)
    },
    VM_TEST_MS,
  )

  it(
    'a VM whose overlay is bigger than that of a fresh one',
    async () => {
      const next = await prepared()
      await next.vm.pause()
      const bigger = new Proxy(golden, {
        get: (target, name) => {
          if (name !== 'baselines') return Reflect.get(target, name, target) as unknown
          return (
            target.baselines && { ...target.baselines, overlayBytes: target.baselines.overlayBytes + 4096 }
          )
        },
      })
      const { report } = await swap(input({ golden: bigger, prepared: next }))
      expect(report.failed).toEqual(['wipe'])
    },
    VM_TEST_MS,
  )
})
