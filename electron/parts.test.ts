import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { locateParts } from './parts.ts'

const appPath = mkdtempSync(join(tmpdir(), 'bsm-parts-'))
const vz = { command: join(appPath, 'dist/bsm-vz-helper'), args: [] }
const qemu = { command: '/usr/bin/node', args: [join(appPath, 'dist/bsm-qemu-helper.mjs')] }
const npm = { npm_node_execpath: '/usr/bin/node' }
const at = { packaged: false, appPath, resourcesPath: '/nowhere', platform: 'linux', env: npm } as const

beforeAll(() => {
  mkdirSync(join(appPath, 'dist'))
  for (const name of ['bsm-vz-helper', 'bsm-qemu-helper.mjs'])
    writeFileSync(join(appPath, 'dist', name), '', { mode: 0o755 })
})
afterAll(() => rmSync(appPath, { recursive: true }))

describe('the parts of the app', () => {
  it('lie beside the sources while it is developed', () => {
    expect(locateParts(at)).toEqual({
      ui: join(appPath, 'dist/ui'),
      preload: join(appPath, 'dist/electron/preload.cjs'),
      trayImages: join(appPath, 'dist/electron/tray'),
      imageDir: join(appPath, 'out/guest'),
      helper: qemu,
    })
    expect(locateParts({ ...at, platform: 'darwin' }).helper).toEqual(vz)
    expect(locateParts({ ...at, env: {} }).helper.command).toBe('node')
  })

  it('have the helper that BSM_HELPER names while it is developed', () => {
    expect(locateParts({ ...at, env: { ...npm, BSM_HELPER: 'vz' } }).helper).toEqual(vz)
    expect(locateParts({ ...at, platform: 'darwin', env: { ...npm, BSM_HELPER: 'qemu' } }).helper).toEqual(
      qemu,
    )
    expect(() => locateParts({ ...at, env: { BSM_HELPER: '/no/helper' } })).toThrow(
      'no helper that can be run',
    )
  })

  it('lie inside the bundle when it is packaged, whatever the environment says', () => {
    const resourcesPath = '/Applications/Brainstorm Sandbox.app/Contents/Resources'
    const archive = `${resourcesPath}/app.asar`
    expect(
      locateParts({
        packaged: true,
        platform: 'darwin',
        env: { npm_node_execpath: '/evil', BSM_HELPER: '/evil' },
        appPath: archive,
        resourcesPath,
      }),
    ).toEqual({
      ui: `${archive}/dist/ui`,
      preload: `${archive}/dist/electron/preload.cjs`,
      trayImages: `${archive}/dist/electron/tray`,
      imageDir: `${resourcesPath}/guest`,
      helper: { command: '/Applications/Brainstorm Sandbox.app/Contents/MacOS/bsm-vz-helper', args: [] },
    })
  })
})
