import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { imageDirectory, onCleanup, temporaryPaths } from '../../core/testing/fixture.ts'
import { scriptedHelper, TSX } from '../../core/testing/scripted-helper-command.ts'
import { EXIT } from '../../core/protocol/index.ts'

const SURPRISED_APP = fileURLToPath(new URL('../testing/surprised-app.ts', import.meta.url))

/** Starts the app, lets `before` do something to it once it is up, and lets it meet its bug. */
async function surprised(kind: string, before: (app: ReturnType<typeof start>) => void = () => undefined) {
  const paths = temporaryPaths()
  const app = start([
    paths.stateDir,
    paths.configDir,
    imageDirectory(),
    JSON.stringify(scriptedHelper()),
    kind,
  ])
  onCleanup(() => void app.kill('SIGKILL'))
  let told = ''
  app.stderr.on('data', (chunk: Buffer) => (told += chunk.toString()))
  const ended = new Promise((resolve) => app.once('exit', resolve))
  const [helper] = (await once(app.stdout, 'data')) as [Buffer]
  before(app)
  app.stdin.end()
  const code = await ended
  expect(existsSync(paths.agentSocket)).toBe(false)
  expect(existsSync(paths.lock)).toBe(false)
  expect(() => process.kill(Number(helper), 0), 'its helper is gone').toThrow('ESRCH')
  expect(readFileSync(join(paths.logsDir, 'app.log'), 'utf8')).toContain('nobody caught this')
  return { code, told }
}

const start = (args: string[]) => spawn(process.execPath, [...TSX, SURPRISED_APP, ...args])

describe('what nobody caught', { timeout: 60_000 }, () => {
  it.each(['exception', 'rejection'])(
    'an uncaught %s ends the app in order, with a sentence and the code of a bug',
    async (kind) => {
      const { code, told } = await surprised(kind)
      expect(code).toBe(EXIT.internalBug)
      expect(told).toMatch(
        /^bsm: the app met what it did not expect, and ends: nobody caught this\nnext: .+\n$/,
      )
    },
  )

  it('ends it once, also when nobody reads any more what it says of it', async () => {
    const { code } = await surprised('unread', ({ stdout, stderr }) => {
      stdout.destroy()
      stderr.destroy()
    })
    expect(code).toBe(EXIT.internalBug)
  })
})
