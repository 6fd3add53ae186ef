import { buildImage } from '../guest/image/build.ts'
import { buildCli, buildHelper, buildLauncher, buildUi } from './bundle.ts'
import { SetupError, step } from './progress.ts'
import { root } from './root.ts'
import { installSystemPackages } from './system-packages.ts'
import { join } from 'node:path'

/** Everything that `npm start` and `npm test` need, built where its inputs changed. */
async function setUp(what: 'start' | 'test'): Promise<void> {
  await step('system packages', (log) => installSystemPackages(what, log))
  await step('programs', async () => {
    await Promise.all([buildHelper(), buildCli(), buildLauncher()])
  })
  await step('user interface', async () => void (await buildUi()))
  await step('guest image', async (log) => {
    await buildImage({ recipe: 'base', out: join(root, 'out/guest/base'), log })
  })
}

const [verb = 'start', ...args] = process.argv.slice(2)
try {
  switch (verb) {
    case 'start':
      if (process.platform === 'darwin')
        console.error(
          'The menu-bar app is not part of this version; going on headless, with the page in a browser.',
        )
      await setUp('start')
      break
    case 'build':
      await setUp('start')
      break
    case 'test': {
      await setUp('test')
      const { runTests } = await import('./test.ts')
      process.exitCode = await runTests(args)
      break
    }
    default:
      throw new SetupError(`unknown command ${verb}`)
  }
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  console.error(error.message)
  process.exitCode = 1
}
