import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import plist from 'plist'

/** A program for Apple silicon in name only: a Mach-O header, and what it is in words. */
export function machOStandIn(name: string, { cpu = 0x0100000c, extra = new Uint8Array() } = {}): Buffer {
  const header = Buffer.alloc(32)
  header.writeUInt32LE(0xfeedfacf, 0)
  header.writeUInt32LE(cpu, 4)
  header.writeUInt32LE(2, 12)
  return Buffer.concat([
    header,
    Buffer.from(`\0stand-in for ${name}, not a program\0`),
    extra,
    Buffer.alloc(32),
  ])
}

export function writeProgram(path: string, bytes: Buffer): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, bytes)
  chmodSync(path, 0o755)
}

function writePlist(path: string, content: plist.PlistObject): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, plist.build(content))
}

/** Where Electron keeps its fuses: a sentinel, version 1, their number, and their states as in a real release. */
const FUSE_WIRE = Buffer.concat([
  Buffer.from('dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX'),
  Buffer.from([1, 9]),
  Buffer.from('101100011'),
])

/**
 * Electron's distribution for macOS in shape, without Electron: what electron-builder unpacks, renames, edits and
 * signs. The folder then holds the archive under the name that a download has.
 */
export function makeElectronStandIn(folder: string, version: string): void {
  const dist = join(folder, 'unpacked')
  mkdirSync(dist)
  const contents = join(dist, 'Electron.app/Contents')
  writeProgram(join(contents, 'MacOS/Electron'), machOStandIn('Electron'))
  writePlist(join(contents, 'Info.plist'), {
    CFBundleDisplayName: 'Electron',
    CFBundleExecutable: 'Electron',
    CFBundleIconFile: 'electron.icns',
    CFBundleIdentifier: 'com.github.Electron',
    CFBundleInfoDictionaryVersion: '6.0',
    CFBundleName: 'Electron',
    CFBundlePackageType: 'APPL',
    CFBundleShortVersionString: version,
    CFBundleVersion: version,
    DTSDKName: 'macosx',
    LSApplicationCategoryType: 'public.app-category.developer-tools',
    LSEnvironment: { MallocNanoZone: '0' },
    LSMinimumSystemVersion: '13.0',
    NSAppTransportSecurity: { NSAllowsArbitraryLoads: true },
    NSAudioCaptureUsageDescription: 'This app needs access to audio capture',
    NSBluetoothAlwaysUsageDescription: 'This app needs access to Bluetooth',
    NSBluetoothPeripheralUsageDescription: 'This app needs access to Bluetooth',
    NSCameraUsageDescription: 'This app needs access to the camera',
    NSHighResolutionCapable: true,
    NSMainNibFile: 'MainMenu',
    NSMicrophoneUsageDescription: 'This app needs access to the microphone',
    NSPrincipalClass: 'AtomApplication',
    NSQuitAlwaysKeepsWindows: false,
    NSRequiresAquaSystemAppearance: false,
    NSSupportsAutomaticGraphicsSwitching: true,
  })
  writeFileSync(join(contents, 'PkgInfo'), 'APPL????')
  mkdirSync(join(contents, 'Resources'))
  writeFileSync(join(contents, 'Resources/electron.icns'), 'icns\0\0\0\x08')
  for (const language of ['en', 'en_GB', 'de', 'ja']) mkdirSync(join(contents, `Resources/${language}.lproj`))
  for (const kind of ['', ' (GPU)', ' (Plugin)', ' (Renderer)']) {
    const name = `Electron Helper${kind}`
    const helper = join(contents, `Frameworks/${name}.app/Contents`)
    writeProgram(join(helper, 'MacOS', name), machOStandIn(name))
    writePlist(join(helper, 'Info.plist'), {
      CFBundleExecutable: name,
      CFBundleIdentifier: 'com.github.Electron.helper',
      CFBundleName: 'Electron',
      CFBundlePackageType: 'APPL',
      LSUIElement: true,
    })
  }
  framework(contents, 'Electron Framework', FUSE_WIRE, [
    'Libraries/libffmpeg.dylib',
    'Helpers/chrome_crashpad_handler',
  ])
  framework(contents, 'Mantle')
  framework(contents, 'ReactiveObjC')
  framework(contents, 'Squirrel', undefined, ['Resources/ShipIt'])
  writeFileSync(join(dist, 'LICENSE'), "Stand-in for Electron's licence.\n")
  writeFileSync(join(dist, 'LICENSES.chromium.html'), "<p>Stand-in for Chromium's licences.</p>\n")
  writeFileSync(join(dist, 'version'), version)
  execFileSync(
    '7za',
    ['a', '-tzip', '-snl', '-mx=1', join(folder, `electron-v${version}-darwin-arm64.zip`), '.'],
    {
      cwd: dist,
      stdio: 'ignore',
    },
  )
  rmSync(dist, { recursive: true })
}

function framework(
  contents: string,
  name: string,
  extra = new Uint8Array(),
  programs: readonly string[] = [],
): void {
  const folder = join(contents, `Frameworks/${name}.framework`)
  const current = join(folder, 'Versions/A')
  writeProgram(join(current, name), machOStandIn(name, { extra }))
  for (const program of programs) writeProgram(join(current, program), machOStandIn(program))
  writePlist(join(current, 'Resources/Info.plist'), {
    CFBundleExecutable: name,
    CFBundleIdentifier: `stand-in.${name}`,
  })
  for (const language of ['en', 'de']) {
    mkdirSync(join(current, `Resources/${language}.lproj`))
    writeFileSync(join(current, `Resources/${language}.lproj/locale.pak`), 'stand-in')
  }
  symlinkSync('A', join(folder, 'Versions/Current'))
  symlinkSync(`Versions/Current/${name}`, join(folder, name))
  symlinkSync('Versions/Current/Resources', join(folder, 'Resources'))
}
