import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ready, scriptedApp, temporaryPaths } from './testing/fixture.ts'

it('tells why a start was a cold boot, in status and log', async () => {
  const paths = temporaryPaths()
  const app = scriptedApp({ paths, script: 'boot-cold' })
  await app.start()
  await ready(app)
  const { helper } = await app.status()
  expect(helper?.cold_boot_reason).toBe('There is no golden snapshot yet.')
  const log = readFileSync(join(paths.logsDir, 'app.log'), 'utf8')
  expect(log).toContain('cold boot: There is no golden snapshot yet.')
  expect(log).toContain('"phases":[{"name":"kernel","ms":1}]')
})

it('has nothing to tell of a start from a golden snapshot', async () => {
  const app = scriptedApp()
  await app.start()
  await ready(app)
  expect((await app.status()).helper).not.toHaveProperty('cold_boot_reason')
})
