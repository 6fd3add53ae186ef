import { describe, expect, it } from 'vitest'
import { AppProcess, standbyReady } from '../support/app.ts'
import { helperBinary } from '../support/helper-binary.ts'
import { freshImage } from '../support/image.ts'
import { Scratch } from '../support/scratch.ts'
import { VM_TEST_MS } from './bench.ts'

describe('the app on the Swift helper', () => {
  it(
    'BSM_HELPER=vz: a dispatch runs, its VM is wiped with proof, and nothing is left at the end',
    async () => {
      await helperBinary('vz')
      const image = await freshImage()
      const scratch = new Scratch('app')
      const app = await AppProcess.start(scratch, image, {
        env: { BSM_HELPER: process.env['BSM_VZ_HELPER'] ?? 'vz' },
      })
      try {
        await app.ready()
        await using control = await app.control()
        const { helper } = await standbyReady(control)
        expect(helper?.backend).toBe('vz')
        const first = await control.exec('sh', { command: 'echo left > ~/mark; cat ~/mark' })
        expect(first.stdout).toBe('left\n')
        expect(first.sandbox_reset_state?.verification_passed).toBe(true)
        const second = await control.exec('sh', { command: 'cat ~/mark 2>/dev/null; true' })
        expect(second.stdout).toBe('')
        const { resets } = await control.status()
        expect(resets[0]?.reset_path).toBe('fast_snapshot')
        await app.kill('SIGTERM')
        expect(app.child.exitCode).toBe(0)
      } finally {
        await app.dispose()
        scratch.remove()
      }
    },
    VM_TEST_MS,
  )
})
