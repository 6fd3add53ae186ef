/** Run with `recorded-mac.ts` preloaded: the whole way of a build, on the project and parts in its first argument. */
import { distribute } from '../../build/packaging/distribute.ts'
import { developmentPlan, releasePlan } from '../../build/packaging/plan.ts'
import { project } from '../../build/packaging/project.ts'
import type { Parts } from '../../build/packaging/stage.ts'
import { SetupError } from '../../build/progress.ts'

const [kind, root = '', parts = '', electronDist = ''] = process.argv.slice(2)
try {
  const plan = kind === 'release' ? releasePlan(process.env) : developmentPlan(process.env)
  const made = await distribute(project(root), JSON.parse(parts) as Parts, plan, {
    targets: ['dmg', 'zip'],
    electronDist,
  })
  console.log(JSON.stringify(made))
} catch (error) {
  console.error(error instanceof SetupError ? error.message : error)
  // As build/main.ts does: electron-builder's exit hook would make it 0.
  process.exit(1)
}
