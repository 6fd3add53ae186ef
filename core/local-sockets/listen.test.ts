import { spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { onCleanup, temporaryDirectory } from '../testing/fixture.ts'
import { listenOn } from './listen.ts'

async function listening(path: string): Promise<void> {
  const server = createServer()
  await listenOn(server, path)
  onCleanup(() => void server.close())
}

describe('listening on a Unix socket', () => {
  it('replaces the socket of a process that is dead', async () => {
    const path = join(temporaryDirectory(), 'a.sock')
    const code = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
    spawnSync(process.execPath, ['-e', code])
    expect(existsSync(path)).toBe(true)
    await listening(path)
  })

  it('refuses to take the socket of a process that lives', async () => {
    const path = join(temporaryDirectory(), 'a.sock')
    await listening(path)
    await expect(listening(path)).rejects.toMatchObject({ code: 'BUSY' })
  })

  it('refuses to remove what is no socket', async () => {
    const path = join(temporaryDirectory(), 'a.sock')
    writeFileSync(path, 'precious')
    await expect(listening(path)).rejects.toThrow('something else lies there')
    expect(existsSync(path)).toBe(true)
  })
})
