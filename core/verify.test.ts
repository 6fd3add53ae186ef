import { expect, it } from 'vitest'
import { SANDBOX_DEADLINES } from './sandbox.ts'
import { ready, scriptedApp } from './testing/fixture.ts'

const booted = async (script: string) => {
  const app = scriptedApp({ script, deadlines: { ...SANDBOX_DEADLINES, verifyMs: 600 } })
  await app.start()
  await ready(app)
  return app
}

it('verifies a VM that was never reset, as soon as the helper has measured its baselines', async () => {
  const app = await booted('')
  expect(await app.verify('tester')).toMatchObject({ fs_hash_match: true, open_fd_count_baseline: 7 })
})

it('finds a divergence before the first reset too', async () => {
  const app = await booted('verify-lie')
  await expect(app.verify('tester')).rejects.toMatchObject({ code: 'RESET_VERIFICATION_DIVERGENCE' })
  expect(app.snapshot().degraded?.sources).toEqual(['open_fd_count'])
})

it.each([
  ['are never measured', 'baseline-never'],
  ['are told with resets only', 'baseline-untold'],
])('says so when the baselines %s', async (_why, script) => {
  const app = await booted(script)
  await expect(app.verify('tester')).rejects.toMatchObject({ code: 'TIMEOUT' })
  expect(app.snapshot().degraded).toBeNull()
  await app.reset('tester')
  expect(await app.verify('tester')).toMatchObject({ open_fd_count_baseline: 7 })
})
