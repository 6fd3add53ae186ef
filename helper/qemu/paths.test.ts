import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { distrustOfSocket } from './paths.ts'
import { OneShotSocket } from './server/one-shot-socket.ts'

let root = ''
let server: Server | null = null
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'bsm-paths-'))
})
afterEach(() => {
  server?.close()
  server = null
  rmSync(root, { recursive: true, force: true })
})
const never = () => Promise.reject(new Error('not asked'))

describe('the place of the one-shot socket', () => {
  it('is trusted when it is ours alone', async () => {
    const path = join(root, 'ours.sock')
    server = createServer().listen(path)
    await new Promise((resolve) => server?.once('listening', resolve))
    expect(distrustOfSocket(path)).toBeNull()
    expect(distrustOfSocket(join(root, 'none.sock'))).toBeNull()
  })

  it.each([0o755, 0o770, 0o1777])(
    'is not trusted, nor bound in, when others may enter (%o)',
    async (mode) => {
      chmodSync(root, mode)
      expect(distrustOfSocket(join(root, 'a.sock'))).toContain('open to others')
      await expect(OneShotSocket.reserve(join(root, 'a.sock'), never)).rejects.toThrow('open to others')
    },
  )

  it('is not trusted, nor bound in, behind a link', async () => {
    mkdirSync(join(root, 'real'), { mode: 0o700 })
    symlinkSync(join(root, 'real'), join(root, 'link'))
    expect(distrustOfSocket(join(root, 'link', 'a.sock'))).toContain('is no directory')
    await expect(OneShotSocket.reserve(join(root, 'link', 'a.sock'), never)).rejects.toThrow(
      'is no directory',
    )
  })

  it('is not trusted when something else than a socket is there', () => {
    writeFileSync(join(root, 'file'), '')
    expect(distrustOfSocket(join(root, 'file'))).toContain('no socket')
  })

  it.runIf(process.getuid?.() === 0)('is not trusted when another user made it', () => {
    mkdirSync(join(root, 'theirs'), { mode: 0o700 })
    chownSync(join(root, 'theirs'), 65_534, 65_534)
    expect(distrustOfSocket(join(root, 'theirs', 'a.sock'))).toContain('another user')
  })
})
