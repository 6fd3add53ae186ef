import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join, relative } from 'node:path'
import { createPackage, extractAll, getRawHeader, listPackage, uncache } from '@electron/asar'
import { flipFuses, FuseV1Options, FuseVersion, getCurrentFuseWire } from '@electron/fuses'
import plist from 'plist'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkUpdateInfo } from '../../build/packaging/artifacts.ts'
import { inspectBundle } from '../../build/packaging/inspect.ts'
import { packageApp } from '../../build/packaging/package.ts'
import { developmentPlan } from '../../build/packaging/plan.ts'
import { checkHelper, checkImage, filesBelow, sha256Hex } from '../../build/packaging/stage.ts'
import { root } from '../../build/root.ts'
import type { Distribution } from '../../core/protocol/index.ts'
import { machOStandIn, writeProgram } from './electron-stand-in.ts'
import { clean, makeFixture, stageFixture, type Fixture } from './fixture.ts'

const FEED = { BSM_UPDATE_FEED: 'https://updates.example/mac' }
let fixture: Fixture
let distribution: Distribution

/** What electron-builder really makes of our configuration, on a stand-in of Electron; not signed: that is macOS's. */
beforeAll(async () => {
  process.env['ELECTRON_BUILDER_7ZIP_PATH'] = '/usr/bin/7za'
  process.env['ELECTRON_BUILDER_COMPRESSION_LEVEL'] = '1'
  fixture = await makeFixture()
  distribution = await stageFixture(fixture)
  await packageApp(fixture.project, distribution, developmentPlan({}), {
    targets: ['dir', 'zip'],
    electronDist: fixture.electronDist,
    log: () => undefined,
  })
})
afterAll(() => clean(fixture))

const info = (): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(plist.parse(readFileSync(join(fixture.project.bundle, 'Contents/Info.plist'), 'utf8'))),
  )

describe('the bundle', () => {
  it('holds these files and no other', () => {
    const parts = readdirSync(fixture.project.bundle, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => relative(fixture.project.bundle, join(entry.parentPath, entry.name)))
      .filter((part) => !part.startsWith('Contents/Frameworks/'))
      .sort()
    expect(parts).toEqual([
      'Contents/Info.plist',
      'Contents/MacOS/Brainstorm Sandbox',
      'Contents/MacOS/bsm-vz-helper',
      'Contents/PkgInfo',
      'Contents/Resources/LICENSE.electron.txt',
      'Contents/Resources/LICENSES.chromium.html',
      'Contents/Resources/app.asar',
      'Contents/Resources/guest/base/Image',
      'Contents/Resources/guest/base/initrd.img',
      'Contents/Resources/guest/base/manifest.json',
      'Contents/Resources/guest/base/rootfs.img',
      'Contents/Resources/icon.icns',
      'Contents/Resources/licences/GPL-2.0.txt',
      'Contents/Resources/licences/Go-BSD-3-Clause.txt',
      'Contents/Resources/licences/LGPL-2.1.txt',
      'Contents/Resources/licences/LICENSE',
      'Contents/Resources/licences/README.md',
      'Contents/Resources/licences/SOURCE-OFFER.txt',
      'Contents/Resources/licences/npm-packages.txt',
    ])
  })

  it('has English alone, of all the languages that Electron brings', () => {
    const languages = readdirSync(join(fixture.project.bundle, 'Contents/Resources')).filter((name) =>
      name.endsWith('.lproj'),
    )
    expect(languages.sort()).toEqual(['en.lproj', 'en_GB.lproj'])
  })

  it('is a menu-bar app for macOS 13 that asks for nothing and reaches no host by plain HTTP', () => {
    expect(info()).toMatchObject({
      CFBundleIdentifier: 'app.brainstorm.sandbox',
      LSMinimumSystemVersion: '13.0',
      LSUIElement: true,
      NSAppTransportSecurity: { NSAllowsArbitraryLoads: false },
    })
    expect(Object.keys(info()).filter((key) => key.endsWith('UsageDescription'))).toEqual([])
  })

  it('has fuses that leave no way in', async () => {
    const wire = Object.entries(await getCurrentFuseWire(fixture.project.bundle))
    // 48 is off, 49 is on; the ninth is Electron's own.
    expect(Object.fromEntries(wire)).toMatchObject({
      [FuseV1Options.RunAsNode]: 48,
      [FuseV1Options.EnableCookieEncryption]: 49,
      [FuseV1Options.EnableNodeOptionsEnvironmentVariable]: 48,
      [FuseV1Options.EnableNodeCliInspectArguments]: 48,
      [FuseV1Options.EnableEmbeddedAsarIntegrityValidation]: 49,
      [FuseV1Options.OnlyLoadAppFromAsar]: 49,
      [FuseV1Options.LoadBrowserProcessSpecificV8Snapshot]: 48,
      [FuseV1Options.GrantFileProtocolExtraPrivileges]: 48,
    })
  })

  it('carries an archive of what was staged, whose header Info.plist knows', () => {
    const archive = join(fixture.project.bundle, 'Contents/Resources/app.asar')
    const built = ['dist/electron', 'dist/ui'].flatMap((folder) =>
      filesBelow(join(root, folder)).map((name) => `${folder}/${name}`),
    )
    const bundles = built.filter((name) => !name.endsWith('.map'))
    const files = listPackage(archive, { isPack: false })
      .map((path) => path.slice(1))
      .filter((path) => /\.\w+$/.test(path))
    expect(files.sort()).toEqual(['distribution.json', 'package.json', ...bundles].sort())
    expect(info()['ElectronAsarIntegrity']).toEqual({
      'Resources/app.asar': { algorithm: 'SHA256', hash: sha256Hex(getRawHeader(archive).headerString) },
    })
    expect(readFileSync(archive).includes('sourceMappingURL')).toBe(false)
  })

  it('says whose licences it is under, and offers the source of the exact versions in it', () => {
    const licences = join(fixture.project.bundle, 'Contents/Resources/licences')
    const offer = readFileSync(join(licences, 'SOURCE-OFFER.txt'), 'utf8')
    expect(offer).toMatch(/linux-image-\S+-cloud-arm64 \d/)
    expect(offer).toMatch(/busybox-static \d/)
    const npm = readFileSync(join(licences, 'npm-packages.txt'), 'utf8')
    const { sources } = JSON.parse(readFileSync(join(root, 'dist/electron/main.cjs.map'), 'utf8')) as {
      sources: string[]
    }
    const bundled = sources.flatMap(
      (source) => /node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*node_modules)/.exec(source)?.[1] ?? [],
    )
    expect(bundled).toEqual(expect.arrayContaining(['zod', 'electron-updater', 'ws']))
    for (const name of [...new Set(bundled), 'react', 'react-dom', 'zustand'])
      expect(npm).toContain(`\n${name} `)
    expect(npm).not.toContain('\nvitest ')
  })

  it('comes out of the zip with its links and modes', () => {
    const out = join(fixture.folder, 'unzipped')
    const zip = join(
      fixture.project.release,
      `Brainstorm-Sandbox-${fixture.project.packageJson.version}-arm64.zip`,
    )
    execFileSync('7za', ['x', '-snl', '-y', `-o${out}`, zip], { stdio: 'ignore' })
    const listed = (folder: string) =>
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .map(
          (entry) =>
            `${entry.isSymbolicLink() ? 'link' : 'file'} ${relative(folder, join(entry.parentPath, entry.name))}`,
        )
        .sort()
    expect(listed(join(out, 'Brainstorm Sandbox.app'))).toEqual(listed(fixture.project.bundle))
    const modes = execFileSync('stat', [
      '-c',
      '%a',
      join(out, 'Brainstorm Sandbox.app/Contents/MacOS/bsm-vz-helper'),
    ])
    expect(modes.toString().trim()).toBe('755')
  })

  it('has no update metadata without a feed', () => {
    checkUpdateInfo(fixture.project, developmentPlan({}))
    expect(() => checkUpdateInfo(fixture.project, developmentPlan(FEED))).toThrow(
      'nobody would find the update',
    )
  })
})

describe('a part that is not as it should be stops the build:', () => {
  const helper = (bytes: Buffer, mode = 0o755): string => {
    const path = join(fixture.folder, 'other-helper')
    writeProgram(path, bytes)
    chmodSync(path, mode)
    return path
  }

  it('no helper', () =>
    expect(() => checkHelper(join(fixture.folder, 'nowhere'))).toThrow('There is no helper'))
  it('a helper for Intel Macs', () =>
    expect(() => checkHelper(helper(machOStandIn('x', { cpu: 0x01000007 })))).toThrow(
      'not a program for Apple silicon',
    ))
  it('a helper for Linux', () =>
    expect(() => checkHelper(helper(readFileSync(process.execPath).subarray(0, 4096)))).toThrow(
      'not a program for Apple silicon',
    ))
  it('a helper that nobody may run', () =>
    expect(() => checkHelper(helper(machOStandIn('x'), 0o644))).toThrow('has mode 644 instead of 755'))

  const image = (): string => {
    const copy = join(fixture.folder, 'other-image')
    cpSync(fixture.parts.image, copy, { recursive: true })
    return copy
  }
  it('an image whose disk is not what its manifest says', async () => {
    const folder = image()
    const bytes = readFileSync(join(folder, 'rootfs.img'))
    bytes.writeUInt8(bytes.readUInt8(4096) ^ 1, 4096)
    writeFileSync(join(folder, 'rootfs.img'), bytes)
    await expect(checkImage(folder, null)).rejects.toThrow("rootfs.img is not what the image's manifest says")
  })
  it('an image that is sound, but not the committed one', async () => {
    await expect(checkImage(fixture.parts.image, `sha256:${'0'.repeat(64)}`)).rejects.toThrow(
      'not the committed one',
    )
  })
  it('no image', async () => {
    await expect(checkImage(fixture.folder, null)).rejects.toThrow('There is no guest image')
  })
})

describe('a bundle that is not as listed stops the build:', () => {
  const part = (bundle: string, name: string): string => join(bundle, 'Contents', name)
  const edit = (bundle: string, change: (info: Record<string, plist.PlistValue>) => void): void => {
    const path = part(bundle, 'Info.plist')
    const content = { ...(plist.parse(readFileSync(path, 'utf8')) as plist.PlistObject) } as Record<
      string,
      plist.PlistValue
    >
    change(content)
    writeFileSync(path, plist.build(content))
  }
  /** Packs the archive anew with a change, and lets Info.plist know: what is inside has to give it away. */
  const repack = async (bundle: string, change: (folder: string) => void): Promise<void> => {
    const archive = part(bundle, 'Resources/app.asar')
    const folder = join(fixture.folder, 'asar')
    rmSync(folder, { recursive: true, force: true })
    extractAll(archive, folder)
    change(folder)
    await createPackage(folder, archive)
    uncache(archive)
    const hash = sha256Hex(getRawHeader(archive).headerString)
    edit(bundle, (content) => {
      content['ElectronAsarIntegrity'] = { 'Resources/app.asar': { algorithm: 'SHA256', hash } }
    })
  }

  const defects: [what: string, defect: (bundle: string) => unknown, finding: string | RegExp][] = [
    ['no helper', (b) => rmSync(part(b, 'MacOS/bsm-vz-helper')), 'Contents/MacOS/bsm-vz-helper: missing'],
    [
      'a helper of mode 700',
      (b) => chmodSync(part(b, 'MacOS/bsm-vz-helper'), 0o700),
      'Contents/MacOS/bsm-vz-helper: mode 700 instead of 755',
    ],
    [
      'a helper that is a script',
      (b) => writeFileSync(part(b, 'MacOS/bsm-vz-helper'), '#!/bin/sh\nexec /evil/helper\n'.padEnd(64)),
      'Contents/MacOS/bsm-vz-helper: not a program for Apple silicon',
    ],
    [
      'a file more',
      (b) => writeFileSync(part(b, 'Resources/notes.txt'), ''),
      'Contents/Resources/notes.txt: not on the list',
    ],
    [
      'a program more',
      (b) => writeProgram(part(b, 'MacOS/other'), machOStandIn('x')),
      'Contents/MacOS/other: not on the list',
    ],
    ['a folder more', (b) => mkdirSync(part(b, 'PlugIns')), 'Contents/PlugIns: not on the list'],
    [
      'a link out of the bundle',
      (b) => symlinkSync('/etc/passwd', part(b, 'Resources/guest/base/x')),
      'Contents/Resources/guest/base/x: a link to /etc/passwd',
    ],
    ['no licence', (b) => rmSync(part(b, 'Resources/licences/GPL-2.0.txt')), 'licences/GPL-2.0.txt: missing'],
    [
      'update settings without a feed',
      (b) => writeFileSync(part(b, 'Resources/app-update.yml'), ''),
      'Contents/Resources/app-update.yml: not on the list',
    ],
    [
      'a guest disk that was changed',
      (b) => writeFileSync(part(b, 'Resources/guest/base/rootfs.img'), 'x'),
      "rootfs.img is not what the image's manifest says",
    ],
    [
      'a guest image with a manifest of its own',
      (b) => {
        const path = part(b, 'Resources/guest/base/manifest.json')
        writeFileSync(path, readFileSync(path, 'utf8').replace('quiet', 'loud'))
      },
      'not the committed one',
    ],
    [
      "electron-builder's transport exceptions",
      (b) => edit(b, (content) => (content['NSAppTransportSecurity'] = { NSAllowsArbitraryLoads: true })),
      'Info.plist NSAppTransportSecurity: {"NSAllowsArbitraryLoads":true}',
    ],
    [
      'a Dock icon',
      (b) => edit(b, (content) => (content['LSUIElement'] = false)),
      'Info.plist LSUIElement: false',
    ],
    [
      'a plist key more',
      (b) => edit(b, (content) => (content['NSCameraUsageDescription'] = 'please')),
      'Info.plist NSCameraUsageDescription: not on the list',
    ],
    [
      'another version',
      (b) => edit(b, (content) => (content['CFBundleShortVersionString'] = '9.9.9')),
      'Info.plist CFBundleShortVersionString: "9.9.9"',
    ],
    [
      'an archive that Info.plist does not know',
      (b) => edit(b, (content) => (content['ElectronAsarIntegrity'] = {})),
      'Info.plist ElectronAsarIntegrity',
    ],
    [
      'a source map in the archive',
      (b) => repack(b, (folder) => writeFileSync(join(folder, 'dist/electron/main.cjs.map'), '{}')),
      'app.asar dist/electron/main.cjs.map: does not ship',
    ],
    [
      'a package in the archive',
      (b) =>
        repack(b, (folder) => {
          mkdirSync(join(folder, 'node_modules/left-pad'), { recursive: true })
          writeFileSync(join(folder, 'node_modules/left-pad/index.js'), '')
        }),
      'app.asar node_modules/left-pad/index.js: not on the list',
    ],
    [
      'other code in the archive',
      (b) => repack(b, (folder) => writeFileSync(join(folder, 'dist/electron/main.cjs'), 'evil()')),
      'app.asar dist/electron/main.cjs: not the staged bytes',
    ],
    [
      'a part of the archive missing',
      (b) => repack(b, (folder) => rmSync(join(folder, 'distribution.json'))),
      'app.asar distribution.json: missing',
    ],
    [
      'a fuse that lets anyone run code as the app',
      (b) => flipFuses(b, { version: FuseVersion.V1, [FuseV1Options.RunAsNode]: true }),
      'fuse RunAsNode: on instead of off',
    ],
    [
      'a fuse that lets the archive be changed',
      (b) =>
        flipFuses(b, {
          version: FuseVersion.V1,
          [FuseV1Options.EnableEmbeddedAsarIntegrityValidation]: false,
        }),
      'fuse EnableEmbeddedAsarIntegrityValidation: off instead of on',
    ],
  ]

  it('none of these', () => inspectBundle(fixture.project.bundle, fixture.project, distribution))

  it.each(defects)('%s', async (_what, defect, finding) => {
    const bundle = join(fixture.folder, 'defect.app')
    rmSync(bundle, { recursive: true, force: true })
    cpSync(fixture.project.bundle, bundle, { recursive: true, verbatimSymlinks: true })
    await defect(bundle)
    await expect(inspectBundle(bundle, fixture.project, distribution)).rejects.toThrow(finding)
  })
})
