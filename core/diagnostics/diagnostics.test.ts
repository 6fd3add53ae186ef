import { createHash } from 'node:crypto'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { BsmError, type Preflight } from '../protocol/index.ts'
import { snapshot } from '../testing/snapshot.ts'
import type { Check, Machine } from './check.ts'
import { app } from './checks/app.ts'
import { audit } from './checks/audit.ts'
import { bundles } from './checks/bundles.ts'
import { channels } from './checks/channels.ts'
import { clock } from './checks/clock.ts'
import { development } from './checks/development.ts'
import { guestImage } from './checks/guest-image.ts'
import { node } from './checks/node.ts'
import { preflight } from './checks/preflight.ts'
import { socketPath } from './checks/socket-path.ts'
import { stateDir } from './checks/state-dir.ts'
import { CHECKS } from './index.ts'
import { runChecks } from './run-checks.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bsm-doctor-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const usable: Preflight = {
  ok: true,
  macos_version: null,
  arch: 'arm64',
  fast_snapshot_supported: true,
  entitlement_present: false,
  backend: 'qemu',
  accelerator: 'kvm',
  host_os: 'Debian 12, QEMU 7.2',
  rejections: [],
  warnings: [],
}
const emulated = { code: 'EMULATED', message: 'It is emulated.', remedy: 'Use another host.' }
const noQemu = { code: 'QEMU_MISSING', message: 'QEMU cannot be run.', remedy: 'Install it.' }

/** A machine on which everything is as it should be, but for what a test changes. */
const machine = (changes: Partial<Machine> = {}): Machine => ({
  root: folder,
  imageDir: join(folder, 'out/guest'),
  env: { HOME: folder, BSM_STATE_DIR: join(folder, 'state') },
  platform: 'linux',
  nodeVersion: '20.19.0',
  run: () => Promise.resolve(''),
  preflight: () => Promise.resolve(usable),
  app: () => Promise.resolve(null),
  audit: () => Promise.resolve(null),
  ...changes,
})
const status = async (check: Check, changes: Partial<Machine> = {}) =>
  (await check.run(machine(changes)))?.status
const missing = () => Promise.reject(new Error('ENOENT'))

describe('the diagnosis', () => {
  it('has checks with different ids', () => {
    expect(new Set(CHECKS.map((check) => check.id)).size).toBe(CHECKS.length)
  })

  it('lets no check break another', async () => {
    const throwing: Check = {
      id: 'throws',
      title: 'throws',
      run: () => {
        throw new Error('broken')
      },
    }
    const hanging: Check = { id: 'hangs', title: 'hangs', run: () => new Promise(() => undefined) }
    const results = await runChecks([throwing, hanging, node], machine(), 50)
    expect(results.map((result) => [result.id, result.status])).toEqual([
      ['throws', 'fail'],
      ['hangs', 'fail'],
      ['node', 'ok'],
    ])
    expect(results[0]?.message).toContain('broken')
    expect(results[1]?.message).toContain('no answer within 50 ms')
  })

  it('has a remedy for everything that fails on an empty machine', async () => {
    const results = await runChecks(
      CHECKS,
      machine({
        nodeVersion: '18.0.0',
        run: missing,
        preflight: () => Promise.resolve({ ...usable, ok: false, rejections: [noQemu] }),
      }),
    )
    const failed = results.filter((result) => result.status === 'fail')
    expect(failed.map((result) => result.id)).toEqual(['node', 'bundles', 'preflight', 'guest-image'])
    for (const result of failed) expect(result.remedy).toBeTruthy()
  })
})

describe('its checks', () => {
  it.each([
    ['20.18.3', 'fail'],
    ['20.19.0', 'ok'],
    ['22.0.0', 'ok'],
  ])('judge Node %s: %s', async (nodeVersion, verdict) => {
    expect(await status(node, { nodeVersion })).toBe(verdict)
  })

  it.each<[string, Partial<Preflight>, object]>([
    ['a usable machine', {}, { status: 'ok', message: 'qemu, kvm (Debian 12, QEMU 7.2)' }],
    [
      'an emulated one',
      { accelerator: 'tcg', warnings: [emulated] },
      { status: 'warn', remedy: 'Use another host.' },
    ],
    [
      'one without QEMU',
      { ok: false, rejections: [noQemu], warnings: [emulated] },
      {
        status: 'fail',
        message: 'qemu, kvm (Debian 12, QEMU 7.2). QEMU cannot be run.',
        remedy: 'Install it.',
      },
    ],
  ])("take the helper's word for %s", async (_what, said, finding) => {
    const changes = { preflight: () => Promise.resolve({ ...usable, ...said }) }
    expect(await preflight.run(machine(changes))).toMatchObject(finding)
  })

  it('say why the helper could not be asked', async () => {
    const error = new BsmError('VM_LIFECYCLE_ERROR', 'app', 'the QEMU helper is not built', {
      nextStep: 'build it',
    })
    expect(await preflight.run(machine({ preflight: () => Promise.reject(error) }))).toEqual({
      status: 'fail',
      message: 'the QEMU helper is not built',
      remedy: 'build it',
    })
  })

  it('name the program that is not built', async () => {
    await mkdir(join(folder, 'dist/ui'), { recursive: true })
    for (const file of ['bsm.mjs', 'bsm-qemu-helper.mjs', 'bsm-launcher', 'ui/index.html'])
      await writeFile(join(folder, 'dist', file), '', { mode: 0o755 })
    expect(await status(bundles)).toBe('ok')
    await rm(join(folder, 'dist/bsm-launcher'))
    expect((await bundles.run(machine()))?.message).toBe('not built: dist/bsm-launcher')
  })

  it('compare every file of the guest image with its manifest', async () => {
    const image = join(folder, 'out/guest/base')
    await mkdir(image, { recursive: true })
    const entry = async (file: string) => {
      await writeFile(join(image, file), file)
      return { file, size: file.length, digest: `sha256:${createHash('sha256').update(file).digest('hex')}` }
    }
    const manifest = {
      schema: 'bsm-image/1',
      image_version: '0.1.0',
      recipe: 'base',
      arch: 'arm64',
      image_digest: `sha256:${'0'.repeat(64)}`,
      kernel: await entry('Image'),
      initrd: await entry('initrd.img'),
      rootfs: await entry('rootfs.img'),
      cmdline: '',
      tools: [],
      inputs: [],
    }
    await writeFile(join(image, 'manifest.json'), JSON.stringify(manifest))
    expect(await status(guestImage)).toBe('ok')
    await writeFile(join(image, 'rootfs.img'), 'changed')
    expect(await guestImage.run(machine())).toMatchObject({
      status: 'fail',
      message: 'rootfs.img is not the file of the manifest',
    })
    await writeFile(join(image, 'manifest.json'), '{')
    expect(await status(guestImage)).toBe('fail')
  })

  it('see a state directory that is open to others', async () => {
    const path = join(folder, 'state')
    await mkdir(path, { mode: 0o700 })
    expect(await status(stateDir)).not.toBe('fail')
    await chmod(path, 0o755)
    expect(await stateDir.run(machine())).toMatchObject({ status: 'fail', remedy: `chmod 700 '${path}'` })
  })

  it('see a state directory whose sockets would have too long a path', async () => {
    expect(await status(socketPath)).toBe('ok')
    const env = { BSM_STATE_DIR: `/${'x'.repeat(100)}` }
    expect(await status(socketPath, { env })).toBe('fail')
  })

  it.each([
    ['nothing', null, 'warn'],
    ['a ready app', snapshot(), 'ok'],
    ['a degraded app', snapshot({ state: 'degraded' }), 'fail'],
    ['a failed app', snapshot({ state: 'failed' }), 'fail'],
  ])('judge %s', async (_what, running, verdict) => {
    expect(await status(app, { app: () => Promise.resolve(running) })).toBe(verdict)
  })

  it('say nothing of sources and programs where the app was installed without them', async () => {
    const installed = { root: null }
    expect(await status(bundles, installed)).toBeUndefined()
    expect(await status(development, installed)).toBeUndefined()
    expect(await runChecks([bundles, node], machine(installed))).toHaveLength(1)
  })

  it('name the channels that stall, and a clock that stood still', async () => {
    const { helper } = snapshot()
    const [channel] = helper?.channels ?? []
    if (helper === null || channel === undefined) throw new Error('the fixture has no channel')
    const guest = {
      ...{ bytes_used: 1, bytes_total: 2, processes: 3, load: 0, overlay_bytes: 0 },
      ...{ clock_step_ms: -7_200_000, at: '2026-01-02T03:04:05.000Z' },
    }
    const ill = snapshot({ helper: { ...helper, guest, channels: [{ ...channel, state: 'stalled' }] } })
    const changes = { app: () => Promise.resolve(ill) }
    expect(await channels.run(machine(changes))).toMatchObject({
      status: 'warn',
      message: expect.stringContaining('1024'),
    })
    expect(await clock.run(machine(changes))).toMatchObject({ status: 'warn' })
    expect(await status(channels)).toBeUndefined()
  })

  it("take the app's word for its audit log", async () => {
    const verdict = {
      ok: false,
      entries: 3,
      head: null,
      finding: 'broken_chain' as const,
      message: 'Broken.',
    }
    expect(await audit.run(machine({ audit: () => Promise.resolve(verdict) }))).toMatchObject({
      status: 'fail',
      message: 'Broken.',
    })
    expect(await status(audit)).toBeUndefined()
  })

  it('name the packages that development lacks', async () => {
    const run: Machine['run'] = (program) => (program === 'go' ? missing() : Promise.resolve(''))
    expect(await development.run(machine({ run }))).toMatchObject({
      status: 'warn',
      remedy: 'apt-get install -y --no-install-recommends golang-go',
    })
  })
})
