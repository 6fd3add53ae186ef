import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Control } from '../../client/index.ts'
import { BsmError, type AgentExecResponse } from '../../core/protocol/index.ts'
import { AppProcess, whenApp } from '../support/app.ts'
import { corruptByte } from '../support/corrupt.ts'
import { copyImage, freshImage, type GuestImage } from '../support/image.ts'
import { LyingQemu } from '../support/lying-qemu.ts'
import { Scratch } from '../support/scratch.ts'
import { VM_TEST_MS } from './bench.ts'

/** Degraded: the source named, on disk, over a restart, left only by a person (wire-protocol §4). */
describe('an app that saw a divergence', () => {
  let image: GuestImage
  let qemu: LyingQemu
  let scratch: Scratch
  const apps: AppProcess[] = []
  const controls: Control[] = []

  beforeAll(async () => {
    image = await freshImage('base', 'test')
    qemu = new LyingQemu()
  })
  afterAll(() => qemu.remove())
  beforeEach(() => {
    scratch = new Scratch('app')
    qemu.relent()
  })
  afterEach(async () => {
    for (const control of controls.splice(0)) await control[Symbol.asyncDispose]()
    for (const app of apps.splice(0)) await app.dispose()
    scratch.remove()
  })

  async function up(of: GuestImage, ...args: string[]): Promise<{ app: AppProcess; control: Control }> {
    const app = await AppProcess.start(scratch, of, { env: qemu.environment, args })
    apps.push(app)
    await app.ready()
    const control = await app.control()
    controls.push(control)
    return { app, control }
  }
  const standby = (control: Control) =>
    whenApp(control, 'a standby', (s) => s.state === 'ready' && s.helper?.standby.state === 'ready')
  const echo = (control: Control): Promise<AgentExecResponse> => control.exec('echo', { text: 'x' })

  /** A refusal's code, whether it came as an answer or as a rejection. */
  const codeOf = (answer: Promise<{ error?: { code: string } | undefined }>): Promise<string | undefined> =>
    answer.then(
      ({ error }) => error?.code,
      (thrown: unknown) => (thrown instanceof BsmError ? thrown.code : String(thrown)),
    )

  const lies: [string, string, (spoiled: GuestImage, control: Control) => Promise<void>][] = [
    [
      'a byte of the rootfs changed from the host',
      'fs_hash',
      async (spoiled) => corruptByte(spoiled.rootfs, Math.floor(spoiled.manifest.rootfs.size / 2)),
    ],
    ['a hypervisor that lies about its state', 'vmm_api_state', async () => qemu.tell('lie', 'paused')],
    [
      'a descriptor planted in a standby',
      'open_fd_count',
      async (_spoiled, control) => {
        const before = qemu.planted.length
        qemu.tell('plant')
        expect((await echo(control)).sandbox_reset_state?.verification_passed).toBe(true)
        await qemu.plantedMore(before)
        await standby(control)
      },
    ],
  ]
  for (const [what, source, spoil] of lies)
    it(
      `${what}: degraded, ${source} named, still degraded after a restart, until a person recovers`,
      async () => {
        const spoiled = copyImage(image, scratch.path('image'))
        const first = await up(spoiled)
        await standby(first.control)
        await spoil(spoiled, first.control)

        const response = await echo(first.control)
        expect(response.sandbox_reset_state?.verification_passed).toBe(false)
        expect(response.sandbox_reset_state?.error?.code).toBe('RESET_VERIFICATION_DIVERGENCE')
        expect(response.sandbox_reset_state?.verification_details.divergence_action).toBe('halt')
        const snapshot = await whenApp(first.control, 'degraded', ({ state }) => state === 'degraded')
        expect(snapshot.degraded?.sources).toEqual([source])
        expect((await echo(first.control)).error?.code).toBe('DEGRADED')
        expect(await codeOf(first.control.reset())).toBe('DEGRADED')
        await first.app.kill('SIGKILL')

        const second = await up(spoiled, '--keep')
        const again = await second.control.status()
        expect(again.state).toBe('degraded')
        expect(again.degraded?.sources).toEqual([source])
        expect((await echo(second.control)).error?.code).toBe('DEGRADED')

        qemu.relent()
        if (source === 'fs_hash') corruptByte(spoiled.rootfs, Math.floor(spoiled.manifest.rootfs.size / 2))
        await second.control.recover('the test put it right')
        await standby(second.control)
        const well = await echo(second.control)
        expect(well.sandbox_reset_state?.verification_passed).toBe(true)
        expect((await second.control.verifyAudit()).ok).toBe(true)
      },
      VM_TEST_MS,
    )
})
