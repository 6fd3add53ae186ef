import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { buildImage, ImageBuildError } from '../guest/image/build.ts'
import { buildCli, buildElectron, buildHelper, buildLauncher, buildTrayImages, buildUi } from './bundle.ts'
import { buildClient } from './client-package.ts'
import { findDesktop } from './desktop.ts'
import { SetupError, step } from './progress.ts'
import { root } from './root.ts'
import { runForCode } from './run.ts'
import { installSystemPackages, type Purpose } from './system-packages.ts'
import { buildVzHelper, buildVzHelperUnderThreadSanitizer, testVzHelper } from './vz-helper.ts'

/** Everything that `npm start` and `npm test` need, built where its inputs changed. */
async function setUp(what: Purpose): Promise<void> {
  await step('system packages', (log) => installSystemPackages(what, log))
  await step('programs', async () => {
    await Promise.all([
      buildHelper(),
      buildCli(),
      buildElectron(),
      buildTrayImages(),
      buildLauncher(),
      buildClient(),
    ])
  })
  await step('user interface', async () => void (await buildUi()))
  await step('guest image', async (log) => {
    await buildImage({ recipe: 'base', log })
  })
  // What `npm test` needs of Swift is built beside its first stages.
  if (what === 'bench' || (what === 'start' && process.env['BSM_HELPER'] === 'vz'))
    await step('vz helper', buildVzHelper)
  if (what !== 'test') return
  await step('guest images of the tests', async (log) => {
    await buildImage({ recipe: 'base', variant: 'test', log })
    await buildImage({ recipe: 'python', log })
  })
}

/** The same on a Mac, for `npm start`: its helper is the Swift one, and its guest image was built on Linux. */
async function setUpOnMac(): Promise<void> {
  await step('programs', async () => {
    await Promise.all([buildCli(), buildElectron(), buildTrayImages(), buildClient()])
  })
  await step('user interface', async () => void (await buildUi()))
  await step('vz helper', buildVzHelper)
  if (!existsSync(join(root, 'out/guest/base/manifest.json')))
    throw new SetupError(
      'There is no guest image in out/guest/base: it is built on Linux (npm run guest -- --pack FILE). ' +
        'Take one with `npm run guest -- --from FILE`, then run the same command again.',
    )
}

/** What the vz helper's own tests need on Linux: a guest, and a QEMU to run it. */
async function testTheVzHelper(args: string[]): Promise<number> {
  if (process.platform === 'linux') {
    await step('system packages', (log) => installSystemPackages('start', log))
    await step('launcher', async () => void (await buildLauncher()))
    await step('guest image', async (log) => {
      await buildImage({ recipe: 'base', log })
    })
  }
  const { passed, failed, skipped } = await step('vz helper tests', (log) =>
    testVzHelper(log, {
      filters: args.filter((arg) => !arg.startsWith('--')),
      coverage: args.includes('--coverage'),
      threads: args.includes('--threads'),
      show: true,
    }),
  )
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
  return failed === 0 && passed > 0 ? 0 : 1
}

/** `npm run dist`, `npm run dist:dev`: everything from source to published files, on a Mac. */
async function makeDistribution(release: boolean, args: string[]): Promise<number> {
  const { readDistOptions, distributeCheckout } = await import('./packaging/main.ts')
  const options = readDistOptions(release, args)
  if (options === null) return 0
  if (process.platform !== 'darwin')
    throw new SetupError(
      'A distribution is made on a Mac with Apple silicon: signing and notarizing are macOS tools. ' +
        'What of it runs here: npm run dist:check.',
    )
  await step('vz helper', buildVzHelper)
  await step('app', async () => void (await Promise.all([buildElectron(), buildTrayImages(), buildUi()])))
  await distributeCheckout(options)
  return 0
}

/** 200 dispatches with resets on the helper as it is shipped, and 20 on one under the thread sanitizer. */
async function soakTheVzHelper(): Promise<number> {
  await setUp('start')
  await step('vz helper', buildVzHelper)
  const sanitized = await step('vz helper under the thread sanitizer', buildVzHelperUnderThreadSanitizer)
  const soak = async (dispatches: number, env: Record<string, string>): Promise<number> => {
    const { code } = await runForCode(
      join(root, 'node_modules/.bin/vitest'),
      ['run', '--project', 'real', 'test/vm/soak.test.ts', '-t', 'vz'],
      { show: true, env: { BSM_SOAK: String(dispatches), ...env } },
    )
    return code
  }
  const codes = [await soak(200, {}), await soak(20, { BSM_VZ_HELPER: sanitized })]
  return Math.max(...codes)
}

/** Runs one of the house's own TypeScript programs, in the foreground. */
async function tsx(program: string, args: string[]): Promise<number> {
  // Ctrl-C reaches it too: we wait for what it still has to put away.
  process.on('SIGINT', () => undefined)
  const { code } = await runForCode(process.execPath, ['--import', 'tsx', join(root, program), ...args], {
    show: true,
    // What a person started, a person ends.
    deadlineMs: 24 * 3_600_000,
  })
  return code
}

const [verb = 'start', ...args] = process.argv.slice(2)
try {
  const onMac = process.platform === 'darwin'
  if (process.platform !== 'linux' && !(onMac && /^(start|build|helper:vz|mac:|dist|guest)/.test(verb)))
    throw new SetupError(
      onMac
        ? `npm run ${verb} needs Linux, where it runs real VMs under QEMU; on a Mac: npm run mac:acceptance.`
        : 'This runs on Linux, and on a Mac with Apple silicon.',
    )
  switch (verb) {
    case 'start': {
      const desktop = await findDesktop({
        platform: process.platform,
        env: process.env,
        root: process.getuid?.() === 0,
        args,
      })
      if (desktop.kind === 'headless')
        console.error(`${desktop.why}: going on headless, with the page in a browser.`)
      await (onMac ? setUpOnMac() : setUp('start'))
      // Told to build/bootstrap.mjs, which starts either in its own process.
      if (desktop.kind === 'app') process.send?.({ electron: desktop.program })
      break
    }
    case 'build':
      await (onMac ? setUpOnMac() : setUp('start'))
      break
    case 'test': {
      await setUp('test')
      const { runTests } = await import('./test.ts')
      process.exitCode = await runTests(args)
      break
    }
    case 'helper:vz':
      if (process.platform === 'linux') {
        await step('system packages', (log) => installSystemPackages('start', log))
        await step('launcher', async () => void (await buildLauncher()))
      }
      await step('vz helper', buildVzHelper)
      break
    case 'helper:vz:test':
      process.exitCode = await testTheVzHelper(args)
      break
    case 'helper:vz:soak':
      process.exitCode = await soakTheVzHelper()
      break
    case 'guest':
      if (process.platform === 'linux')
        await step('system packages', (log) => installSystemPackages('start', log))
      process.exitCode = await tsx('guest/image/build.ts', args)
      break
    case 'dist':
    case 'dist:dev':
      process.exitCode = await makeDistribution(verb === 'dist', args)
      break
    case 'dist:check': {
      await step('system packages', (log) => installSystemPackages('dist', log))
      await step('app', async () => void (await Promise.all([buildElectron(), buildTrayImages(), buildUi()])))
      await step('guest image', async (log) => {
        await buildImage({ recipe: 'base', log })
      })
      const { checkPackaging } = await import('./test.ts')
      process.exitCode = await checkPackaging(args)
      break
    }
    case 'client':
      await step('client package', async () => void (await Promise.all([buildClient(), buildCli()])))
      break
    case 'conformance':
      await setUp('start')
      process.exitCode = await tsx('test/conformance/main.ts', args)
      break
    case 'mac:acceptance':
      if (process.platform === 'linux') await setUp('start')
      await step('vz helper', buildVzHelper)
      process.exitCode = await tsx('test/acceptance/main.ts', args)
      break
    case 'fuzz':
      await setUp('start')
      process.exitCode = await tsx('test/fuzz/main.ts', args)
      break
    case 'redteam':
    case 'chaos':
    case 'gates':
    case 'soak':
      await setUp('bench')
      process.exitCode = await tsx(`test/${verb}/main.ts`, args)
      break
    case 'bench':
      await setUp('bench')
      process.exitCode = await tsx('test/bench/main.ts', args)
      break
    case 'bench:agents':
      await setUp('start')
      process.exitCode = await tsx('test/bench/agents.ts', args)
      break
    default:
      throw new SetupError(`unknown command ${verb}`)
  }
} catch (error) {
  if (!(error instanceof SetupError || error instanceof ImageBuildError)) throw error
  console.error(error.message)
  // Not by exitCode alone: a hook that electron-builder leaves behind would end the process with 0.
  process.exit(1)
}
