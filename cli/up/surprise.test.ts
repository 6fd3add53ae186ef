import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { imageDirectory, onCleanup, temporaryPaths } from '../../core/testing/fixture.ts'
import { scriptedHelper, TSX } from '../../core/testing/scripted-helper-command.ts'
import { EXIT } from '../../core/protocol/index.ts'

const SURPRISED_APP = fileURLToPath(new URL('../testing/surprised-app.ts', import.meta.url))

it.each(['exception', 'rejection'])(
  'an uncaught %s ends the app in order, with a sentence and the code of a bug',
  { timeout: 60_000 },
  async (kind) => {
    const paths = temporaryPaths()
    const helper = JSON.stringify(scriptedHelper())
    const args = [...TSX, SURPRISED_APP, paths.stateDir, paths.configDir, imageDirectory(), helper, kind]
    const app = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    onCleanup(() => void app.kill('SIGKILL'))
    let [said, told] = ['', '']
    app.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
    app.stderr.on('data', (chunk: Buffer) => (told += chunk.toString()))
    const code = await new Promise((resolve) => app.once('close', resolve))
    expect(code).toBe(EXIT.internalBug)
    expect(told).toMatch(
      /^bsm: the app met what it did not expect, and ends: nobody caught this\nnext: .+\n$/,
    )
    expect(existsSync(paths.agentSocket)).toBe(false)
    expect(existsSync(paths.lock)).toBe(false)
    expect(() => process.kill(Number(said), 0), 'its helper is gone').toThrow('ESRCH')
    expect(readFileSync(join(paths.logsDir, 'app.log'), 'utf8')).toContain('nobody caught this')
  },
)
