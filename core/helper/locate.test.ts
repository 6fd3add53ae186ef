import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { locateHelper } from './locate.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'bsm-locate-'))
  await mkdir(join(root, 'dist'))
})
afterEach(() => rm(root, { recursive: true }))

const node = '/usr/bin/node'
const on = (platform: NodeJS.Platform, env: NodeJS.ProcessEnv = {}) => ({ platform, env, node })

describe('the helper', () => {
  it('is the built QEMU helper on Linux, under our own Node', async () => {
    const path = join(root, 'dist/bsm-qemu-helper.mjs')
    expect(() => locateHelper(undefined, root, on('linux'))).toThrow(
      expect.objectContaining({ code: 'VM_LIFECYCLE_ERROR', nextStep: 'run `npm run build`' }),
    )
    await writeFile(path, '')
    expect(locateHelper(undefined, root, on('linux'))).toEqual({ command: node, args: [path] })
  })

  it('is the Virtualization.framework helper on a Mac', async () => {
    const path = join(root, 'dist/bsm-vz-helper')
    expect(() => locateHelper(undefined, root, on('darwin'))).toThrow('not built')
    await writeFile(path, '', { mode: 0o755 })
    expect(locateHelper(undefined, root, on('darwin'))).toEqual({ command: path, args: [] })
  })

  it('is the one that BSM_HELPER names, unless the command line names another', async () => {
    const path = join(root, 'dist/bsm-vz-helper')
    const vz = on('linux', { BSM_HELPER: 'vz' })
    expect(() => locateHelper(undefined, root, vz)).toThrow(
      expect.objectContaining({ nextStep: 'run `npm run helper:vz`, or use --helper qemu' }),
    )
    await writeFile(path, '', { mode: 0o755 })
    expect(locateHelper(undefined, root, vz)).toEqual({ command: path, args: [] })
    expect(() => locateHelper('qemu', root, vz)).toThrow('QEMU')
    expect(() => locateHelper(undefined, root, on('linux', { BSM_HELPER: '' }))).toThrow('QEMU')
  })

  it('may be any executable, but must be one', async () => {
    const path = join(root, 'mine')
    await writeFile(path, '', { mode: 0o644 })
    expect(() => locateHelper(path, root, on('linux'))).toThrow(
      expect.objectContaining({
        code: 'BAD_REQUEST',
        message: `there is no helper that can be run at ${path}`,
      }),
    )
    await rm(path)
    await writeFile(path, '', { mode: 0o755 })
    expect(locateHelper(path, root, on('linux'))).toEqual({ command: path, args: [] })
  })
})
