import { describe, expect, it } from 'vitest'
import { locateParts } from './parts.ts'

const at = {
  packaged: false,
  appPath: '/src',
  resourcesPath: '/nowhere',
  platform: 'linux',
  node: '/usr/bin/node',
} as const

describe('the parts of the app', () => {
  it('lie beside the sources while it is developed', () => {
    expect(locateParts(at)).toEqual({
      ui: '/src/dist/ui',
      preload: '/src/dist/electron/preload.cjs',
      trayImages: '/src/dist/electron/tray',
      imageDir: '/src/out/guest',
      helper: { command: '/usr/bin/node', args: ['/src/dist/bsm-qemu-helper.mjs'] },
    })
    expect(locateParts({ ...at, platform: 'darwin' }).helper.command).toBe('/src/dist/bsm-vz-helper')
    expect(locateParts({ ...at, node: undefined }).helper.command).toBe('node')
  })

  it('lie inside the bundle when it is packaged', () => {
    const resourcesPath = '/Applications/Brainstorm Sandbox.app/Contents/Resources'
    const appPath = `${resourcesPath}/app.asar`
    expect(
      locateParts({ packaged: true, platform: 'darwin', node: '/evil', appPath, resourcesPath }),
    ).toEqual({
      ui: `${appPath}/dist/ui`,
      preload: `${appPath}/dist/electron/preload.cjs`,
      trayImages: `${appPath}/dist/electron/tray`,
      imageDir: `${resourcesPath}/guest`,
      helper: { command: '/Applications/Brainstorm Sandbox.app/Contents/MacOS/bsm-vz-helper', args: [] },
    })
  })
})
