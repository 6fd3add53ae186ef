import { existsSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkUpdateInfo } from '../../build/packaging/artifacts.ts'
import { entitlementsOf, readEntitlements } from '../../build/packaging/entitlements.ts'
import { developmentPlan, releasePlan } from '../../build/packaging/plan.ts'
import { sha256Hex } from '../../build/packaging/stage.ts'
import { clean, makeFixture, type Fixture } from './fixture.ts'
import { record, releaseEnvironment, TEAM, type Recorded } from './record.ts'
import type { Call } from './recorded-mac.ts'

const FEED = { BSM_UPDATE_FEED: 'https://updates.example/mac' }
const IDENTITY = 'AAAABBBBCCCCDDDDEEEEFFFF0000111122223333'

/** The call with the paths of the fixture shortened, as a shell would show it. */
const shown = ({ folder, project }: Fixture, { tool, args }: Call): string =>
  [tool, ...args]
    .join(' ')
    .replaceAll(project.bundle, '<app>')
    .replaceAll(project.release, '<release>')
    .replaceAll(project.root, '<project>')
    .replaceAll(folder, '<folder>')
    .replaceAll(/\/tmp\/(electron-notarize|bsm-verify|t)-[^/ ]+/g, '<$1>')

const signing = ({ calls }: Recorded): Call[] =>
  calls.filter(({ tool, args }) => tool === 'codesign' && args.includes('--sign'))
const target = ({ args }: Call): string => args.at(-1) ?? ''

describe('a release', () => {
  let fixture: Fixture
  let recorded: Recorded
  beforeAll(async () => {
    fixture = await makeFixture()
    recorded = await record(fixture, 'release', { ...releaseEnvironment(fixture), ...FEED })
    if (recorded.code !== 0) throw new Error(recorded.output)
  })
  afterAll(() => clean(fixture))

  it('signs the helper first, alone, hardened, with its own entitlements, and nobody signs it again', () => {
    const helper = join(fixture.project.bundle, 'Contents/MacOS/bsm-vz-helper')
    const signed = signing(recorded)
    expect(signed.filter((call) => target(call) === helper)).toHaveLength(1)
    expect(shown(fixture, signed[0] ?? { tool: '', args: [] })).toBe(
      `codesign --sign ${IDENTITY} --force --timestamp --options runtime --identifier bsm-vz-helper` +
        ' --entitlements <project>/entitlements/bsm-vz-helper.plist <app>/Contents/MacOS/bsm-vz-helper',
    )
    // Checked before the app is sealed over it.
    expect(shown(fixture, recorded.calls[recorded.calls.indexOf(signed[0] as Call) + 1] as Call)).toBe(
      'codesign --verify --strict <app>/Contents/MacOS/bsm-vz-helper',
    )
  })

  it('then signs the app inside out: every program before what contains it, once, and data never', () => {
    const order = signing(recorded).map((call) => target(call))
    const inApp = order.filter((path) => path.startsWith(fixture.project.bundle))
    expect(new Set(inApp).size).toBe(inApp.length)
    for (const [i, outer] of inApp.entries())
      for (const inner of inApp.slice(i + 1)) expect(inner.startsWith(`${outer}/`)).toBe(false)
    expect(inApp.at(-1)).toBe(fixture.project.bundle)
    const frameworks = 'Contents/Frameworks'
    const helpers = ['', ' (GPU)', ' (Plugin)', ' (Renderer)'].flatMap((kind) => [
      `${frameworks}/Brainstorm Sandbox Helper${kind}.app`,
      `${frameworks}/Brainstorm Sandbox Helper${kind}.app/Contents/MacOS/Brainstorm Sandbox Helper${kind}`,
    ])
    const libraries = ['Electron Framework', 'Mantle', 'ReactiveObjC', 'Squirrel'].flatMap((name) => [
      `${frameworks}/${name}.framework`,
      `${frameworks}/${name}.framework/Versions/A/${name}`,
    ])
    const expected = [
      '',
      'Contents/MacOS/Brainstorm Sandbox',
      'Contents/MacOS/bsm-vz-helper',
      ...helpers,
      ...libraries,
      `${frameworks}/Electron Framework.framework/Versions/A/Helpers/chrome_crashpad_handler`,
      `${frameworks}/Electron Framework.framework/Versions/A/Libraries/libffmpeg.dylib`,
      `${frameworks}/Squirrel.framework/Versions/A/Resources/ShipIt`,
    ].map((part) => join(fixture.project.bundle, part))
    expect([...inApp].sort()).toEqual(expected.sort())
  })

  it('signs everything with the Developer ID, hardened and timestamped, and each kind with its entitlements', () => {
    for (const call of signing(recorded)) {
      const { args } = call
      expect(args.slice(0, 3)).toEqual(['--sign', IDENTITY, '--force'])
      expect(args).toContain('--timestamp')
      if (target(call).endsWith('.dmg')) continue
      expect(args[args.indexOf('--options') + 1]).toBe('runtime')
      expect(args[args.indexOf('--entitlements') + 1]).toBe(
        join(fixture.project.entitlements, entitlementsOf(fixture.project.bundle, target(call))),
      )
    }
  })

  it('gives each executable these entitlements and no other', () => {
    const keys = (file: string) => readEntitlements(join(fixture.project.entitlements, file))
    expect(keys('bsm-vz-helper.plist')).toEqual(['com.apple.security.virtualization'])
    const jit = ['com.apple.security.cs.allow-jit']
    expect(keys('app.plist')).toEqual(jit)
    expect(keys('electron-renderer.plist')).toEqual(jit)
    expect(keys('electron-gpu.plist')).toEqual(jit)
    expect(keys('electron-helper.plist')).toEqual([])
    expect(keys('electron-framework.plist')).toEqual([])
    const of = (part: string) => entitlementsOf('/A.app', join('/A.app', part))
    expect(of('Contents/MacOS/bsm-vz-helper')).toBe('bsm-vz-helper.plist')
    expect(of('Contents/Frameworks/X Helper (Renderer).app')).toBe('electron-renderer.plist')
    expect(of('Contents/Frameworks/X Helper (GPU).app/Contents/MacOS/X Helper (GPU)')).toBe(
      'electron-gpu.plist',
    )
    expect(of('Contents/Frameworks/X Helper (Plugin).app')).toBe('electron-helper.plist')
    expect(of('Contents/Frameworks/X Helper.app')).toBe('electron-helper.plist')
    expect(of('Contents/Frameworks/Squirrel.framework/Versions/A/Resources/ShipIt')).toBe(
      'electron-framework.plist',
    )
    expect(() => of('Contents/Frameworks/X Helper (New).app')).toThrow('no entitlements are written down')
  })

  it('notarizes and staples the app, then makes, signs, notarizes and staples the disk image', () => {
    const steps = recorded.calls
      .map((call) => shown(fixture, call))
      .filter((call) =>
        /^(xcrun (notarytool submit|stapler staple)|ditto -c|dmgbuild|tiffutil)|\.dmg$/.test(call),
      )
    const key = '--key <folder>/AuthKey.p8 --key-id KEYID --issuer ISSUER --wait --output-format json'
    const { version } = fixture.project.packageJson
    const dmg = `Brainstorm-Sandbox-${version}-arm64.dmg`
    expect(steps.slice(0, 8)).toEqual([
      'ditto -c -k --sequesterRsrc --keepParent Brainstorm Sandbox.app <electron-notarize>/Brainstorm Sandbox.zip',
      `xcrun notarytool submit <electron-notarize>/Brainstorm Sandbox.zip ${key}`,
      'xcrun stapler staple -v Brainstorm Sandbox.app',
      'tiffutil -cathidpicheck <project>/out/packaging/resources/background.png <project>/out/packaging/resources/background@2x.png -out <t>/0.tiff',
      `dmgbuild -s <t>/1.json Brainstorm Sandbox ${version} <release>/${dmg}`,
      `codesign --sign ${IDENTITY} --force --timestamp <release>/${dmg}`,
      `xcrun notarytool submit <release>/${dmg} ${key}`,
      `xcrun stapler staple -v ${dmg}`,
    ])
  })

  it('lays the disk image out: APFS, the app, the way to Applications, the licences, on our picture', () => {
    const { version } = fixture.project.packageJson
    const image = readFileSync(
      join(fixture.project.release, `Brainstorm-Sandbox-${version}-arm64.dmg`),
      'utf8',
    )
    const settings: unknown = JSON.parse(image.slice(0, image.indexOf('\n#')))
    expect(settings).toMatchObject({
      title: `Brainstorm Sandbox ${version}`,
      filesystem: 'APFS',
      format: 'ULFO',
      window: { size: { width: 660, height: 480 } },
      contents: [
        { type: 'file', path: fixture.project.bundle },
        { type: 'link', path: '/Applications' },
        { type: 'file', path: fixture.project.stagedLicences, name: 'Licences' },
      ],
    })
  })

  it('asks of the finished files what only a Mac can say, and starts the app from the disk image', () => {
    const from = recorded.calls.findIndex(({ tool, args }) => tool === 'ditto' && args.includes('-x'))
    const requirement =
      '-R=identifier "bsm-vz-helper" and anchor apple generic' +
      ' and certificate 1[field.1.2.840.113635.100.6.2.6] exists' +
      ' and certificate leaf[field.1.2.840.113635.100.6.1.13] exists' +
      ` and certificate leaf[subject.OU] = "${TEAM}"`
    const app = (place: string): string[] => [
      `codesign --verify --strict --deep <bsm-verify>/${place}/Brainstorm Sandbox.app`,
      `codesign --verify --strict ${requirement} <bsm-verify>/${place}/Brainstorm Sandbox.app/Contents/MacOS/bsm-vz-helper`,
      `xcrun stapler validate <bsm-verify>/${place}/Brainstorm Sandbox.app`,
      `spctl --assess --type execute --verbose=4 <bsm-verify>/${place}/Brainstorm Sandbox.app`,
    ]
    const name = `<release>/Brainstorm-Sandbox-${fixture.project.packageJson.version}-arm64`
    expect(recorded.calls.slice(from).map((call) => shown(fixture, call))).toEqual([
      `ditto -x -k ${name}.zip <bsm-verify>/zip`,
      ...app('zip'),
      `codesign --verify --strict ${name}.dmg`,
      `xcrun stapler validate ${name}.dmg`,
      `spctl --assess --type open --context context:primary-signature ${name}.dmg`,
      `hdiutil attach -readonly -nobrowse -noautoopen -mountpoint <bsm-verify>/dmg ${name}.dmg`,
      ...app('dmg'),
      'open -W -n --stdout <bsm-verify>/self-check.json -a <bsm-verify>/dmg/Brainstorm Sandbox.app --args --self-check',
      'hdiutil detach <bsm-verify>/dmg',
    ])
  })

  it('publishes files that its metadata and checksums describe as they are in the end', () => {
    const { release, packageJson } = fixture.project
    const name = `Brainstorm-Sandbox-${packageJson.version}`
    const lines = readFileSync(join(release, 'SHA256SUMS'), 'utf8').trim().split('\n')
    expect(lines.map((line) => line.slice(66))).toEqual([
      `${name}-arm64.dmg`,
      `${name}-arm64.zip`,
      `${name}-arm64.zip.blockmap`,
      `${name}.cdx.json`,
      `${name}.md`,
      'latest-mac.yml',
    ])
    for (const line of lines)
      expect(line.slice(0, 64)).toBe(sha256Hex(readFileSync(join(release, line.slice(66)))))
    checkUpdateInfo(fixture.project, developmentPlan(FEED))
    expect(readFileSync(join(release, 'latest-mac.yml'), 'utf8')).not.toContain('.dmg')
    expect(readFileSync(join(release, `${name}.md`), 'utf8')).toContain('- Something new.')
    const settings = readFileSync(join(fixture.project.bundle, 'Contents/Resources/app-update.yml'), 'utf8')
    expect(settings).toContain('url: https://updates.example/mac')
  })

  it('lists in its bill of materials what the app and the guest are made of', () => {
    const path = join(
      fixture.project.release,
      `Brainstorm-Sandbox-${fixture.project.packageJson.version}.cdx.json`,
    )
    const bom = JSON.parse(readFileSync(path, 'utf8')) as { components: { name: string; version: string }[] }
    const names = bom.components.map(({ name }) => name)
    for (const name of ['react', 'zod', 'electron', 'busybox-static', 'tool:go'])
      expect(names).toContain(name)
    expect(names.some((name) => name.startsWith('linux-image-'))).toBe(true)
    expect(names).not.toContain('vitest')
  })

  it('puts no secret on a log or into the bundle', () => {
    const key = readFileSync(join(fixture.folder, 'AuthKey.p8'), 'utf8')
    expect(recorded.output).not.toContain(key)
    expect(readFileSync(join(fixture.project.app, 'distribution.json'), 'utf8')).toBe(
      `${JSON.stringify(
        {
          schema: 'bsm-distribution/1',
          signing: { kind: 'developer_id', team_id: TEAM },
          guest: {
            base: `sha256:${sha256Hex(readFileSync(join(fixture.project.guest, 'base/manifest.json')))}`,
          },
          update_feed: FEED.BSM_UPDATE_FEED,
        },
        undefined,
        2,
      )}\n`,
    )
  })
})

describe('a development build', () => {
  it('is signed ad hoc, the helper alone hardened, and neither notarized nor asked of Gatekeeper', async () => {
    const fixture = await makeFixture()
    try {
      const recorded = await record(fixture, 'development', { GITHUB_BASE_REF: 'main' })
      expect(recorded.output, recorded.output).toContain('✓ verification')
      const signed = signing(recorded)
      expect(basename(target(signed[0] as Call))).toBe('bsm-vz-helper')
      expect(target(signed.at(-1) as Call)).toBe(fixture.project.bundle)
      for (const { args } of signed) {
        expect(args.slice(0, 3)).toEqual(['--sign', '-', '--force'])
        expect(args).toContain('--timestamp=none')
        expect(args.includes('--options')).toBe(args.at(-1)?.endsWith('bsm-vz-helper') === true)
      }
      const others = recorded.calls.map(({ tool, args }) => `${tool} ${args[0] ?? ''}`)
      expect(others.filter((call) => /notarytool|stapler|spctl/.test(call))).toEqual([])
      expect(existsSync(join(fixture.project.release, 'latest-mac.yml'))).toBe(false)
    } finally {
      clean(fixture)
    }
  })
})

describe('a release is not made', () => {
  it.each([
    ['without a certificate in the keychain', 'identity', 'no Developer ID Application certificate'],
    ['when Apple refuses to notarize it', 'notarization', 'Failed to notarize'],
    [
      'when the helper comes out of signing without its entitlement',
      'entitlements',
      'bsm-vz-helper is signed with the entitlements [] instead of [com.apple.security.virtualization]',
    ],
  ])('%s', async (_what, fault, sentence) => {
    const fixture = await makeFixture()
    try {
      const env = { ...releaseEnvironment(fixture), BSM_RECORDED_FAULT: fault }
      const { code, output } = await record(fixture, 'release', env)
      expect(code).toBe(1)
      expect(output).toMatch(sentence)
      expect(existsSync(join(fixture.project.release, 'SHA256SUMS'))).toBe(false)
    } finally {
      clean(fixture)
    }
  })

  it('without a team, credentials and a contact for source, and says all that is missing at once', () => {
    expect(() => releasePlan({})).toThrow(
      /APPLE_TEAM_ID[\s\S]*notarization credentials[\s\S]*BSM_SOURCE_CONTACT/,
    )
  })
})
