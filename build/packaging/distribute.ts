import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ImageManifest } from '../../core/protocol/image.ts'
import { step } from '../progress.ts'
import { root } from '../root.ts'
import { checkUpdateInfo, writeChecksums } from './artifacts.ts'
import { packageApp, type Target } from './package.ts'
import type { Plan } from './plan.ts'
import { RECIPE, type Project } from './project.ts'
import { releaseNotes } from './release-notes.ts'
import { sbom } from './sbom.ts'
import { stage, type Parts } from './stage.ts'
import { verifyRelease } from './verify.ts'

export type DistributeOptions = { targets: readonly Target[]; electronDist?: string }

/** From checked parts to published files in `out/release/`; returns their names. */
export async function distribute(
  project: Project,
  parts: Parts,
  plan: Plan,
  options: DistributeOptions,
): Promise<string[]> {
  const { version } = project.packageJson
  // Before minutes are spent: a changelog that says nothing stops a release as surely as a missing certificate.
  const notes = releaseNotes(readFileSync(project.changelog, 'utf8'), version, plan.kind === 'release')
  const distribution = await step('parts', () => stage(project, parts, plan))
  await step('bundle, archive, disk image', (log) =>
    packageApp(project, distribution, plan, { ...options, log }),
  )
  checkUpdateInfo(project, plan)
  await step('bill of materials, notes', async () => {
    const manifest: unknown = JSON.parse(readFileSync(join(project.guest, RECIPE, 'manifest.json'), 'utf8'))
    const name = `Brainstorm-Sandbox-${version}`
    const bom = await sbom(project, root, ImageManifest.parse(manifest))
    writeFileSync(join(project.release, `${name}.cdx.json`), bom)
    writeFileSync(join(project.release, `${name}.md`), notes)
  })
  if (process.platform === 'darwin' && options.targets.includes('dmg'))
    await step('verification', (log) => verifyRelease(project, plan, log))
  return writeChecksums(project)
}
