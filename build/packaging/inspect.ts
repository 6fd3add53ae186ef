import { lstatSync, readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { join, relative } from 'node:path'
import { extractFile, getRawHeader, listPackage, statFile, uncache } from '@electron/asar'
import { FuseV1Options, getCurrentFuseWire } from '@electron/fuses'
import plist from 'plist'
import type { Distribution } from '../../core/protocol/distribution.ts'
import { SetupError } from '../progress.ts'
import { machO } from './mach-o.ts'
import { HELPER, PRODUCT, RECIPE, type Project } from './project.ts'
import { checkImage, filesBelow, sha256Hex } from './stage.ts'

/** Looks at a bundle as users will get it, and throws a list of all that is not as it is written down. */
export async function inspectBundle(
  bundle: string,
  project: Project,
  distribution: Distribution,
): Promise<void> {
  const findings = [
    ...inspectTree(bundle, distribution),
    ...inspectInfo(bundle, project, distribution),
    ...inspectHelper(bundle),
    ...(await inspectGuest(bundle, distribution)),
    ...inspectAsar(bundle, project),
    ...(await inspectFuses(bundle)),
  ]
  if (findings.length > 0)
    throw new SetupError(
      `${bundle} is not as listed:\n${findings.map((line) => `  ${line}\n`).join('')}`.trimEnd(),
    )
}

// ------------------------------------------------------------------ files

const HELPER_APP = `Contents/Frameworks/${PRODUCT} Helper( \\((GPU|Plugin|Renderer)\\))?\\.app`
const FRAMEWORKS = '(Electron Framework|Mantle|ReactiveObjC|Squirrel)'
const SIGNATURE = '_CodeSignature(/CodeResources)?'

/** Everything of ours, by name; what is Electron's, by the places it has. */
const LISTED: readonly RegExp[] = [
  'Contents',
  'Contents/(Info\\.plist|PkgInfo|CodeResources)',
  `Contents/${SIGNATURE}`,
  'Contents/MacOS',
  `Contents/MacOS/(${PRODUCT}|${HELPER})`,
  'Contents/Resources',
  'Contents/Resources/(app\\.asar|icon\\.icns|LICENSE\\.electron\\.txt|LICENSES\\.chromium\\.html)',
  'Contents/Resources/en(_GB)?\\.lproj',
  `Contents/Resources/guest(/${RECIPE}(/(Image|initrd\\.img|rootfs\\.img|manifest\\.json))?)?`,
  'Contents/Resources/licences',
  'Contents/Resources/licences/(LICENSE|README\\.md|GPL-2\\.0\\.txt|LGPL-2\\.1\\.txt|Go-BSD-3-Clause\\.txt)',
  'Contents/Resources/licences/(npm-packages\\.txt|SOURCE-OFFER\\.txt)',
  'Contents/Frameworks',
  `Contents/Frameworks/${FRAMEWORKS}\\.framework(/.*)?`,
  `${HELPER_APP}(/Contents(/(MacOS|Info\\.plist|PkgInfo|${SIGNATURE}))?)?`,
  `${HELPER_APP}/Contents/MacOS/${PRODUCT} Helper( \\((GPU|Plugin|Renderer)\\))?`,
].map((pattern) => new RegExp(`^${pattern}$`))

/** Only where a feed is configured. */
const UPDATER = 'Contents/Resources/app-update.yml'

const REQUIRED = [
  `Contents/MacOS/${PRODUCT}`,
  `Contents/MacOS/${HELPER}`,
  'Contents/Resources/app.asar',
  'Contents/Resources/icon.icns',
  'Contents/Resources/licences/LICENSE',
  'Contents/Resources/licences/GPL-2.0.txt',
  'Contents/Resources/licences/LGPL-2.1.txt',
  'Contents/Resources/licences/SOURCE-OFFER.txt',
  'Contents/Resources/licences/npm-packages.txt',
  'Contents/Resources/LICENSE.electron.txt',
  'Contents/Resources/LICENSES.chromium.html',
  ...['', ' (GPU)', ' (Plugin)', ' (Renderer)'].map(
    (kind) => `Contents/Frameworks/${PRODUCT} Helper${kind}.app/Contents/MacOS/${PRODUCT} Helper${kind}`,
  ),
]

function* walk(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    yield path
    if (entry.isDirectory()) yield* walk(path)
  }
}

function inspectTree(bundle: string, { update_feed }: Distribution): string[] {
  const findings: string[] = []
  const found = new Set<string>()
  for (const path of walk(bundle)) {
    const part = relative(bundle, path)
    found.add(part)
    if (!LISTED.some((pattern) => pattern.test(part)) && !(part === UPDATER && update_feed !== null))
      findings.push(`${part}: not on the list`)
    findings.push(...inspectMode(path, part))
  }
  const required = update_feed === null ? REQUIRED : [...REQUIRED, UPDATER]
  for (const part of required) if (!found.has(part)) findings.push(`${part}: missing`)
  return findings
}

function inspectMode(path: string, part: string): string[] {
  const stat = lstatSync(path)
  if (stat.isSymbolicLink())
    return part.includes('.framework/') && !/^\/|\.\./.test(readlinkSync(path))
      ? []
      : [`${part}: a link to ${readlinkSync(path)}`]
  if (!stat.isFile() && !stat.isDirectory()) return [`${part}: neither file nor folder`]
  const mode = (stat.mode & 0o7777).toString(8)
  if (stat.isDirectory()) return mode === '755' ? [] : [`${part}: mode ${mode} instead of 755`]
  const program = part.includes('/MacOS/')
  if (program) return mode === '755' ? [] : [`${part}: mode ${mode} instead of 755`]
  // Electron's own libraries come with either.
  const fine = part.startsWith('Contents/Frameworks/') ? ['644', '755'] : ['644']
  return fine.includes(mode) ? [] : [`${part}: mode ${mode} instead of ${fine.join(' or ')}`]
}

// ------------------------------------------------------------------ Info.plist

/** Written by Electron's own build, and harmless. */
const ELECTRONS = [
  'CFBundleInfoDictionaryVersion',
  'LSEnvironment',
  'NSMainNibFile',
  'NSQuitAlwaysKeepsWindows',
  'NSSupportsAutomaticGraphicsSwitching',
]

function inspectInfo(bundle: string, project: Project, { update_feed }: Distribution): string[] {
  const info = plist.parse(readFileSync(join(bundle, 'Contents/Info.plist'), 'utf8'))
  const { version } = project.packageJson
  const header = getRawHeader(join(bundle, 'Contents/Resources/app.asar')).headerString
  uncache(join(bundle, 'Contents/Resources/app.asar'))
  const expected: Record<string, unknown> = {
    CFBundleDisplayName: PRODUCT,
    CFBundleExecutable: PRODUCT,
    CFBundleIconFile: 'icon.icns',
    CFBundleIdentifier: 'app.brainstorm.sandbox',
    CFBundleName: PRODUCT,
    CFBundlePackageType: 'APPL',
    CFBundleShortVersionString: version,
    CFBundleVersion: version,
    ElectronAsarIntegrity: { 'Resources/app.asar': { algorithm: 'SHA256', hash: sha256Hex(header) } },
    LSApplicationCategoryType: 'public.app-category.developer-tools',
    LSMinimumSystemVersion: '13.0',
    LSUIElement: true,
    NSAppTransportSecurity: transportSecurity(update_feed),
    NSHighResolutionCapable: true,
    NSHumanReadableCopyright: 'Copyright © 2026 Brainstorm',
    NSPrincipalClass: 'AtomApplication',
    NSRequiresAquaSystemAppearance: false,
  }
  const found = Object.fromEntries(Object.entries(info))
  const findings: string[] = []
  for (const [key, value] of Object.entries(expected))
    if (JSON.stringify(found[key]) !== JSON.stringify(value))
      findings.push(`Info.plist ${key}: ${JSON.stringify(found[key])} instead of ${JSON.stringify(value)}`)
  for (const key of Object.keys(found))
    if (!(key in expected) && !ELECTRONS.includes(key) && !/^DT[A-Z]/.test(key))
      findings.push(`Info.plist ${key}: not on the list`)
  return findings
}

/**
 * electron-builder opens every host to plain HTTP; we close them again. Squirrel takes an update from a server on
 * 127.0.0.1 in the app itself, so an app with a feed needs that one door.
 */
export const transportSecurity = (updateFeed: string | null): Record<string, boolean> =>
  updateFeed === null ? { NSAllowsArbitraryLoads: false } : { NSAllowsLocalNetworking: true }

// ------------------------------------------------------------------ helper, guest, archive, fuses

function inspectHelper(bundle: string): string[] {
  const part = `Contents/MacOS/${HELPER}`
  try {
    const file = machO(join(bundle, part))
    return file?.arm64 === true && file.executable ? [] : [`${part}: not a program for Apple silicon`]
  } catch {
    return [] // missing: the list says so
  }
}

async function inspectGuest(bundle: string, { guest }: Distribution): Promise<string[]> {
  try {
    await checkImage(join(bundle, 'Contents/Resources/guest', RECIPE), guest[RECIPE] ?? 'none')
    return []
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)]
  }
}

/** The archive holds what was staged, byte by byte, and nothing else. */
function inspectAsar(bundle: string, project: Project): string[] {
  const archive = join(bundle, 'Contents/Resources/app.asar')
  uncache(archive)
  const findings: string[] = []
  const staged = filesBelow(project.app)
  const inside = listPackage(archive, { isPack: false })
    .map((path) => path.replace(/^\//, ''))
    .filter((path) => !('files' in statFile(archive, path)))
    .sort()
  for (const path of inside) {
    if (/(^|\/)node_modules\/|\.(map|ts|tsx)$|\.test\./.test(path))
      findings.push(`app.asar ${path}: does not ship`)
    if (!staged.includes(path)) findings.push(`app.asar ${path}: not on the list`)
    else if (!extractFile(archive, path).equals(readFileSync(join(project.app, path))))
      findings.push(`app.asar ${path}: not the staged bytes`)
  }
  for (const path of staged) if (!inside.includes(path)) findings.push(`app.asar ${path}: missing`)
  uncache(archive)
  return findings
}

/** What a fuse wire holds for each: the characters 0 and 1. */
const [OFF, ON] = [0x30, 0x31]
/** By number; the ninth, of Electron's WebAssembly trap handlers, stays as Electron sets it. */
const FUSES: Readonly<Record<number, number>> = {
  [FuseV1Options.RunAsNode]: OFF,
  [FuseV1Options.EnableCookieEncryption]: ON,
  [FuseV1Options.EnableNodeOptionsEnvironmentVariable]: OFF,
  [FuseV1Options.EnableNodeCliInspectArguments]: OFF,
  [FuseV1Options.EnableEmbeddedAsarIntegrityValidation]: ON,
  [FuseV1Options.OnlyLoadAppFromAsar]: ON,
  [FuseV1Options.LoadBrowserProcessSpecificV8Snapshot]: OFF,
  [FuseV1Options.GrantFileProtocolExtraPrivileges]: OFF,
}

async function inspectFuses(bundle: string): Promise<string[]> {
  const wire: Readonly<Record<string, unknown>> = Object.fromEntries(
    Object.entries(await getCurrentFuseWire(bundle)),
  )
  const state = (value: unknown): string =>
    value === ON ? 'on' : value === OFF ? 'off' : `unknown (${String(value)})`
  return Object.entries(FUSES).flatMap(([fuse, expected]) =>
    wire[fuse] === expected
      ? []
      : [`fuse ${FuseV1Options[Number(fuse)] ?? fuse}: ${state(wire[fuse])} instead of ${state(expected)}`],
  )
}
