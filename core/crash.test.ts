import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { randomUUID } from 'node:crypto'
import { expect, it } from 'vitest'
import { isAlive, ProcessIdentity } from './process-identity.ts'
import { imageDirectory, onCleanup, ready, scriptedApp, temporaryPaths } from './testing/fixture.ts'
import { TSX } from './testing/scripted-helper-command.ts'

const APP_PROCESS = fileURLToPath(new URL('testing/app-process.ts', import.meta.url))

const NAME = 'an app that was killed leaves a helper, sockets and a lock, all of which the next one settles'

it(NAME, { timeout: 60_000 }, async () => {
  const paths = temporaryPaths()
  const script = 'deaf-to-shutdown,deaf-to-eof,deaf-to-sigterm'
  const args = [...TSX, APP_PROCESS, paths.stateDir, paths.configDir, imageDirectory(), script]
  const first = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  onCleanup(() => void first.kill('SIGKILL'))
  await new Promise((resolve) => first.stdout.once('data', resolve))
  await expect
    .poll(() => readFileSync(paths.auditLog, 'utf8'), { timeout: 30_000 })
    .toContain('"kind":"dispatch_started"')
  const helper = ProcessIdentity.parse(JSON.parse(readFileSync(paths.helperIdentity, 'utf8')))
  const ended = new Promise((resolve) => first.once('exit', resolve))
  first.kill('SIGKILL')
  await ended
  expect(isAlive(helper)).toBe(true)
  expect(existsSync(paths.agentSocket)).toBe(true)

  const second = scriptedApp({ paths })
  await second.start()
  expect(second.snapshot().state).toBe('starting')
  await ready(second)
  expect(isAlive(helper)).toBe(false)
  expect(second.snapshot().last_crash).toContain(`A helper of an earlier run (process ${helper.pid})`)
  const call = { command_id: randomUUID(), tool: 'echo', params: { text: 'alive' }, deadline_ms: 5_000 }
  expect((await second.exec('tester', call)).stdout).toBe('alive')
  expect(await second.verifyAudit()).toMatchObject({ ok: true })
  const audited = readFileSync(paths.auditLog, 'utf8')
  expect(audited).toContain('leftover_ended')
  expect(audited.match(/"kind":"dispatch_interrupted"/g), 'what the first one was running').toHaveLength(1)
  await second.stop()
  await scriptedApp({ paths }).start()
  expect(readFileSync(paths.auditLog, 'utf8').match(/"kind":"dispatch_interrupted"/g)).toHaveLength(1)
})
