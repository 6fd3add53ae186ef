import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { SetupError, type Log } from './progress.ts'
import { run, runForCode } from './run.ts'

/** A program that the house needs, and Debian's package that brings it. */
type Need = { program: string; package: string; for: string }

const FOR_START: Need[] = [
  { program: 'qemu-system-aarch64', package: 'qemu-system-arm', for: 'the VM' },
  { program: 'go', package: 'golang-go', for: 'the guest and the launcher' },
  { program: 'mke2fs', package: 'e2fsprogs', for: 'the guest image' },
  { program: 'dpkg-deb', package: 'dpkg', for: 'the guest image' },
  { program: 'xz', package: 'xz-utils', for: 'the guest image' },
]
const FOR_DIST: Need[] = [{ program: '7za', package: 'p7zip-full', for: 'the packaging tests' }]
const NEEDS = {
  start: FOR_START,
  test: [...FOR_START, ...FOR_DIST, { program: 'chromium', package: 'chromium', for: 'the browser tests' }],
  dist: [...FOR_START.filter(({ program }) => program !== 'qemu-system-aarch64'), ...FOR_DIST],
  bench: [...FOR_START, { program: 'qemu-img', package: 'qemu-utils', for: "QEMU's own snapshots" }],
  swift: [{ program: 'debootstrap', package: 'debootstrap', for: 'Swift from Debian 13' }],
} satisfies Record<string, Need[]>
export type Purpose = keyof typeof NEEDS

function onPath(program: string): boolean {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin', '/usr/local/bin']
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** Installs what is missing through apt when root; otherwise says the one command that does. */
export async function installSystemPackages(what: Purpose, log: Log): Promise<void> {
  const missing = NEEDS[what].filter((need) => !onPath(need.program))
  if (missing.length === 0) return
  const packages = [...new Set(missing.map((need) => need.package))]
  const install = ['install', '-y', '--no-install-recommends', ...packages]
  const uses = missing.map((need) => `${need.program} (${need.for})`).join(', ')
  if (!existsSync('/usr/bin/apt-get'))
    throw new SetupError(
      `missing: ${uses}. This machine has no apt; install the equivalents of ${packages.join(' ')} and run the same command again.`,
    )
  if (process.getuid?.() !== 0)
    throw new SetupError(
      `missing: ${uses}. Run this, then the same command again:\n  sudo sh -c 'apt-get update && apt-get ${install.join(' ')}'`,
    )
  log(`missing: ${uses}`)
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  const apt = (args: string[]) => ['-o', 'DPkg::Lock::Timeout=300', ...args]
  log(`apt-get ${install.join(' ')}`)
  // Package lists may be absent or too old for what they name; one refresh mends both.
  const first = await runForCode('apt-get', apt(install), { env })
  if (first.code === 0) return
  log('refreshing the package lists')
  await run('apt-get', apt(['update']), { env })
  await run('apt-get', apt(install), { env })
}
