import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SetupError, type Log } from './progress.ts'
import { root } from './root.ts'
import { run, runForCode } from './run.ts'
import { installSystemPackages } from './system-packages.ts'

/** A Swift toolchain: how its programs are called, and what a program that it builds needs to run here. */
export type Swift = {
  /** Runs `swift ARG…` in a folder of the checkout; shows its output or throws with its end. */
  swift: (folder: string, args: string[], show?: boolean) => Promise<string>
  /** Runs a tool of the toolchain (llvm-cov, llvm-profdata) in the checkout. */
  tool: (name: string, args: string[]) => Promise<string>
  /** Flags for every build. */
  flags: string[]
}

const OLDEST = [5, 9] as const
const PACKAGES = ['swiftlang', 'libc6-dev', 'libstdc++-14-dev', 'libssl-dev', 'git', 'ca-certificates']
/** Debian 13 has Swift 6.0; its root also runs what it built on Debian 12. */
const RELEASE = 'trixie'
const ROOT = join(root, 'out/swift-root')
const MADE_OF = join(ROOT, 'bsm-made-of')

/** The machine's own Swift if it is new enough; on Debian 12, as root, Debian 13's in a root of its own. */
export async function findSwift(log: Log): Promise<Swift> {
  const own = await ownVersion()
  if (own !== null && (own[0] > OLDEST[0] || (own[0] === OLDEST[0] && own[1] >= OLDEST[1]))) return ownSwift
  if (isDebian12() && process.getuid?.() === 0) {
    await makeRoot(log)
    return swiftOfRoot
  }
  const found = own === null ? 'There is no Swift on this machine' : `Swift ${own.join('.')} is too old`
  const how =
    process.platform === 'darwin'
      ? 'install Xcode 15 or newer'
      : isDebian12()
        ? 'run the same command as root, which brings a toolchain into out/swift-root'
        : `install Swift 5.9 or newer (Debian 13: sudo apt-get install ${PACKAGES.join(' ')}; elsewhere: swift.org/install)`
  throw new SetupError(
    `${found}, and the vz helper needs 5.9 or newer: ${how}. Then run the same command again.`,
  )
}

async function ownVersion(): Promise<[number, number] | null> {
  try {
    const { code, output } = await runForCode('swift', ['--version'])
    const version = /Swift version (\d+)\.(\d+)/.exec(output)
    return code === 0 && version !== null ? [Number(version[1]), Number(version[2])] : null
  } catch {
    return null
  }
}

const ownSwift: Swift = {
  swift: async (folder, args, show = false) => await shown('swift', args, join(root, folder), show),
  tool: async (name, args) =>
    process.platform === 'darwin' ? await run('xcrun', [name, ...args]) : await run(name, args),
  flags: ['-Xswiftc', '-warnings-as-errors'],
}

// ---------------------------------------------------------------- Debian 13 in a folder

function isDebian12(): boolean {
  try {
    const release = readFileSync('/etc/os-release', 'utf8')
    return /^ID=debian$/m.test(release) && /^VERSION_ID="?12"?$/m.test(release)
  } catch {
    return false
  }
}

async function makeRoot(log: Log): Promise<void> {
  const wanted = `${RELEASE} ${PACKAGES.join(' ')}\n`
  if (existsSync(MADE_OF) && readFileSync(MADE_OF, 'utf8') === wanted) return
  await installSystemPackages('swift', log)
  const making = `${ROOT}.making`
  for (const old of [making, ROOT]) rmSync(old, { recursive: true, force: true })
  mkdirSync(join(root, 'out'), { recursive: true })
  log(`debootstrap ${RELEASE}: about a minute, and 3 GB in out/swift-root`)
  await run('debootstrap', ['--variant=minbase', RELEASE, making, await mirror()])
  log(`apt-get install ${PACKAGES.join(' ')}`)
  await run('unshare', [
    '--mount',
    'sh',
    '-ec',
    'mount -t proc proc "$1/proc"; root="$1"; shift; chroot "$root" env DEBIAN_FRONTEND=noninteractive "$@"; chroot "$root" apt-get clean',
    'sh',
    making,
    // A half-made root is made anew: no file of it needs to be on the medium before the next.
    ...['apt-get', '-q', '-y', '--no-install-recommends', '-o', 'Dpkg::Options::=--force-unsafe-io'],
    ...['install', ...PACKAGES],
  ])
  writeFileSync(join(making, 'bsm-made-of'), wanted)
  renameSync(making, ROOT)
}

/** Where this machine's own apt has Debian from. */
async function mirror(): Promise<string> {
  const text = await run('apt-get', [
    'indextargets',
    '--format',
    '$(ORIGIN) $(COMPONENT) $(CODENAME) $(REPO_URI)',
    'Created-By: Packages',
  ])
  const uri = /^Debian main bookworm (\S+)$/m.exec(text)?.[1]
  if (uri === undefined)
    throw new SetupError(
      "apt's sources name no Debian mirror for bookworm main: run `apt-get update`, or add one, and try again.",
    )
  return uri
}

const inRoot = (command: string[], folder: string): string[] => [
  '--mount',
  'sh',
  '-ec',
  // The checkout has the same path inside, so that what compilers print and debuggers read is true outside.
  'mount --rbind /proc "$1/proc"; mount --rbind /dev "$1/dev"; mkdir -p "$1$2"; mount --bind "$2" "$1$2"; root="$1"; cd="$3"; shift 3; exec chroot "$root" sh -ec \'cd "$1"; shift; exec "$@"\' sh "$cd" "$@"',
  ...[
    'sh',
    ROOT,
    root,
    join(root, folder),
    'env',
    '-i',
    'PATH=/usr/bin:/bin',
    'HOME=/root',
    'LC_ALL=C.UTF-8',
  ],
  ...command,
]

const swiftOfRoot: Swift = {
  swift: async (folder, args, show = false) =>
    await shown('unshare', inRoot(['swift', ...args], folder), root, show),
  tool: async (name, args) => await run('unshare', inRoot([`/usr/libexec/swift/bin/${name}`, ...args], '.')),
  flags: ['-Xswiftc', '-warnings-as-errors', ...runsOutside()],
}

/**
 * Links with the loader and libraries of the root, newer than the machine's own: what it builds is then an ordinary
 * program here. Libraries that only other libraries ask for are named too, since those would look for them in the
 * machine's folders.
 */
function runsOutside(): string[] {
  const [loader, triplet] =
    process.arch === 'arm64'
      ? ['lib/ld-linux-aarch64.so.1', 'aarch64-linux-gnu']
      : ['lib64/ld-linux-x86-64.so.2', 'x86_64-linux-gnu']
  const libraries = [join(ROOT, 'usr/lib/swift/linux'), join(ROOT, 'usr/lib', triplet)]
  const linker = [
    `--dynamic-linker=${join(ROOT, loader)}`,
    '--disable-new-dtags',
    `-rpath=${libraries.join(':')}`,
    ...['--no-as-needed', '-lstdc++', '-lgcc_s', '--as-needed'],
  ]
  return linker.flatMap((flag) => ['-Xlinker', flag])
}

async function shown(command: string, args: string[], cwd: string, show: boolean): Promise<string> {
  if (!show) return await run(command, args, { cwd })
  const { code } = await runForCode(command, args, { cwd, show })
  if (code !== 0) throw new SetupError(`swift ended with ${code}`)
  return ''
}
