import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { readCommitted, takeImage } from '../../guest/image/published.ts'
import { SetupError, step } from '../progress.ts'
import { root } from '../root.ts'
import { distribute } from './distribute.ts'
import { drawArt } from './drawing/index.ts'
import { developmentPlan, releasePlan, type Plan } from './plan.ts'
import { HELPER, project, RECIPE } from './project.ts'

const usage = (release: boolean): string => `Usage: npm run ${release ? 'dist' : 'dist:dev'} -- [options]
${
  release
    ? 'Builds, signs with your Developer ID, notarizes, staples and verifies; files are in out/release/.'
    : 'Builds and signs ad hoc, for this Mac alone; files are in out/release/.'
}
  --guest FILE   first takes the guest image that Linux built (npm run guest -- --pack FILE there)
  --help         this text
What it wants of the environment, and what it checks: docs/release.md.
`

export type DistOptions = { plan: Plan; guest: string | undefined }

/** Null after --help. Throws before anything is built when a release lacks what only its owner has. */
export function readDistOptions(release: boolean, args: string[]): DistOptions | null {
  try {
    const { values } = parseArgs({
      args,
      options: { guest: { type: 'string' }, help: { type: 'boolean', short: 'h', default: false } },
    })
    if (values.help) {
      process.stdout.write(usage(release))
      return null
    }
    return {
      plan: release ? releasePlan(process.env) : developmentPlan(process.env),
      guest: values.guest,
    }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw new SetupError(`${error.message}\n${usage(release)}`, { cause: error })
  }
}

/** Makes the distribution of this checkout from what was built before. */
export async function distributeCheckout({ plan, guest }: DistOptions): Promise<void> {
  const own = project(root)
  const image = join(root, 'out/guest', RECIPE)
  const committed = readCommitted(RECIPE)
  if (plan.kind === 'release' && committed === null)
    throw new SetupError('No guest image is recorded for a release: see docs/release.md.')
  if (guest !== undefined)
    await step(
      'guest image',
      async () => void (await takeImage({ file: guest, dir: image, digest: committed })),
    )
  const art = await drawArt()
  const made = await distribute(
    own,
    {
      bundles: { 'dist/electron': join(root, 'dist/electron'), 'dist/ui': join(root, 'dist/ui') },
      main: 'dist/electron/main.cjs',
      helper: join(root, 'dist', HELPER),
      image,
      art,
      committedImage: plan.kind === 'release' ? committed : null,
    },
    plan,
    { targets: ['dmg', 'zip'] },
  )
  console.log(made.map((name) => join('out/release', name)).join('\n'))
}
