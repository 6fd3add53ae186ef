import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ifChanged } from './if-changed.ts'
import { SetupError, type Log } from './progress.ts'
import { root } from './root.ts'
import { run, runForCode } from './run.ts'
import { findSwift, type Swift } from './swift.ts'

const PACKAGE = 'helper/vz'
const PRODUCT = 'bsm-vz-helper'
const ENTITLEMENTS = 'entitlements/bsm-vz-helper.plist'

/** Builds `dist/bsm-vz-helper`: on a Mac for arm64 and signed ad hoc, on Linux with the stand-in behind. */
export async function buildVzHelper(log: Log): Promise<void> {
  const swift = await findSwift(log)
  await ifChanged(
    PRODUCT,
    {
      inputs: [
        `${PACKAGE}/Package.swift`,
        `${PACKAGE}/Sources`,
        'build/vz-helper.ts',
        'build/swift.ts',
        ENTITLEMENTS,
      ],
      outputs: [`dist/${PRODUCT}`],
    },
    async () => {
      log('swift build -c release')
      const release = ['-c', 'release', '--product', PRODUCT, ...architecture(), ...swift.flags]
      await swift.swift(PACKAGE, ['build', ...release])
      const folder = await swift.swift(PACKAGE, ['build', '--show-bin-path', ...release])
      await install(join(folder.trim().split('\n').at(-1) ?? '', PRODUCT))
    },
  )
}

/** Objects with and without the sanitizer do not mix. */
const THREADS = ['--sanitize=thread', '--scratch-path', '.build/threads']

/** Builds the helper under the thread sanitizer; returns its path. It stays where it is built. */
export async function buildVzHelperUnderThreadSanitizer(log: Log): Promise<string> {
  const swift = await findSwift(log)
  const debug = ['--product', PRODUCT, ...architecture(), ...swift.flags, ...THREADS]
  log('swift build --sanitize=thread')
  await swift.swift(PACKAGE, ['build', ...debug])
  const folder = await swift.swift(PACKAGE, ['build', '--show-bin-path', ...debug])
  return join(folder.trim().split('\n').at(-1) ?? '', PRODUCT)
}

/** The helper for Macs is for Apple silicon alone; elsewhere it is for the machine that builds it. */
const architecture = () => (process.platform === 'darwin' ? ['--arch', 'arm64'] : [])

/** By a new name and a rename: one that runs may not be written to, and a half-signed one not be seen. */
async function install(built: string): Promise<void> {
  mkdirSync(join(root, 'dist'), { recursive: true })
  const target = join(root, 'dist', PRODUCT)
  const next = `${target}.next`
  rmSync(next, { force: true })
  copyFileSync(built, next)
  chmodSync(next, 0o755)
  if (process.platform === 'darwin')
    await run('codesign', [
      ...['--force', '--sign', '-', '--timestamp=none'],
      ...['--identifier', PRODUCT, '--entitlements', join(root, ENTITLEMENTS), next],
    ])
  renameSync(next, target)
}

export type TestOptions = {
  /** `Module.Class/testName`; none means all. */
  filters?: string[]
  /** Prints line coverage of the package's own sources, the stand-in aside. */
  coverage?: boolean
  /** Builds and runs under the thread sanitizer. */
  threads?: boolean
  /** Shows what the tests print also when they pass. */
  show?: boolean
  env?: Record<string, string>
}

type Tested = { passed: number; failed: number; skipped: number; output: string }

/** Runs the package's tests. Needs the guest image and the launcher where a VM is behind. */
export async function testVzHelper(log: Log, options: TestOptions = {}): Promise<Tested> {
  const swift = await findSwift(log)
  const { filters = [], coverage = false, threads = false, show = false, env = {} } = options
  const build = [...swift.flags, ...(coverage ? ['--enable-code-coverage'] : []), ...(threads ? THREADS : [])]
  if (process.platform === 'darwin') return await testOnMac(swift, build, filters)
  log('swift build --build-tests')
  await swift.swift(PACKAGE, ['build', '--build-tests', ...build])
  const printed = await swift.swift(PACKAGE, ['build', '--show-bin-path', ...build])
  const folder = printed.trim().split('\n').at(-1) ?? ''
  const bundle = join(folder, `${PRODUCT}PackageTests.xctest`)
  // Not `swift test`: where Swift lives in a root of its own there is no QEMU.
  const profiles = join(root, 'out/vz-coverage')
  rmSync(profiles, { recursive: true, force: true })
  const test = async (tests: string[]) =>
    await runForCode(bundle, [tests.join(',')], {
      cwd: join(root, PACKAGE),
      env: {
        ...env,
        BSM_LAUNCHER: join(root, 'dist/bsm-launcher'),
        LLVM_PROFILE_FILE: coverage ? join(profiles, '%p.profraw') : '/dev/null',
      },
    })
  const runs = await Promise.all((filters.length > 0 ? [filters] : await dealt(bundle)).map(test))
  const code = Math.max(...runs.map((each) => each.code))
  const output = runs.map((each) => each.output).join('')
  if (show || code !== 0) process.stderr.write(output)
  if (coverage) await reportCoverage(swift, bundle, profiles)
  return outcome(code, output)
}

/** All tests in two hands, every other one in each: those that take long wait rather than compute. */
async function dealt(bundle: string): Promise<string[][]> {
  const tests = (await run(bundle, ['--list-tests'])).match(/^\w+\.\w+\/\w+$/gm) ?? []
  if (tests.length === 0) throw new SetupError(`${bundle} lists no tests`)
  return [0, 1].map((hand) => tests.filter((_, i) => i % 2 === hand))
}

async function testOnMac(swift: Swift, build: string[], filters: string[]): Promise<Tested> {
  const chosen = filters.flatMap((filter) => ['--filter', filter])
  try {
    return outcome(0, await swift.swift(PACKAGE, ['test', ...architecture(), ...build, ...chosen]))
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    console.error(error.message)
    return { passed: 0, failed: 1, skipped: 0, output: error.message }
  }
}

/** XCTest says of each test how it began and how it ended; a crash takes the rest of the run with it. */
function outcome(code: number, output: string): Tested {
  const count = (how: string) => output.match(new RegExp(`^Test Case .+ ${how}`, 'gm'))?.length ?? 0
  const [started, passed, skipped] = [count('started'), count('passed \\('), count('skipped \\(')]
  const failed = started - passed - skipped
  if (code !== 0 && failed === 0) console.error(`the tests ended with ${code}`)
  return { passed, failed: code === 0 ? failed : Math.max(1, failed), skipped, output }
}

async function reportCoverage(swift: Swift, bundle: string, profiles: string): Promise<void> {
  const raw = existsSync(profiles) ? readdirSync(profiles).map((name) => join(profiles, name)) : []
  const merged = join(profiles, 'merged.profdata')
  await swift.tool('llvm-profdata', ['merge', '-sparse', ...raw, '-o', merged])
  const ignored = '--ignore-filename-regex=(/Tests/|/VirtualizationStandIn/|/CStandIn/|\\.build/)'
  const report = await swift.tool('llvm-cov', ['report', bundle, `--instr-profile=${merged}`, ignored])
  console.log(report)
}
