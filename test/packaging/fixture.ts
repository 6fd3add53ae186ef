import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { drawArt } from '../../build/packaging/drawing/index.ts'
import { developmentPlan, type Plan } from '../../build/packaging/plan.ts'
import { project, type Project } from '../../build/packaging/project.ts'
import { stage, type Parts } from '../../build/packaging/stage.ts'
import { root } from '../../build/root.ts'
import { machOStandIn, makeElectronStandIn, writeProgram } from './electron-stand-in.ts'

export type Fixture = {
  folder: string
  project: Project
  parts: Parts
  electronDist: string
}

/**
 * A project folder with our own configuration, entitlements and licences, real bundles and the real guest image, and
 * stand-ins for what a Linux machine cannot have: Electron's programs and the Swift helper.
 */
export async function makeFixture(): Promise<Fixture> {
  const folder = mkdtempSync(join(tmpdir(), 'bsm-dist-'))
  const at = join(folder, 'project')
  mkdirSync(at)
  for (const name of ['electron-builder.yml', 'entitlements', 'licences', 'package.json'])
    cpSync(join(root, name), join(at, name), { recursive: true })
  // So that electron-builder takes this folder for a checkout with its packages.
  symlinkSync(join(root, 'node_modules'), join(at, 'node_modules'))
  const made = project(at)
  // The checkout's own is dated on the day of a release.
  writeFileSync(
    made.changelog,
    `# Changelog\n\n## ${made.packageJson.version} — 2026-01-31\n\n- Something new.\n`,
  )
  const electronDist = join(folder, 'electron')
  mkdirSync(electronDist)
  makeElectronStandIn(electronDist, made.packageJson.devDependencies.electron)
  const helper = join(folder, 'bsm-vz-helper')
  writeProgram(helper, machOStandIn('bsm-vz-helper'))
  const art = await drawArt()
  const parts: Parts = {
    bundles: { 'dist/electron': join(root, 'dist/electron'), 'dist/ui': join(root, 'dist/ui') },
    main: 'dist/electron/main.cjs',
    helper,
    image: join(root, 'out/guest/base'),
    art,
    committedImage: null,
  }
  return { folder, project: made, parts, electronDist }
}

export const clean = ({ folder }: Fixture): void => rmSync(folder, { recursive: true, force: true })

export const stageFixture = ({ project, parts }: Fixture, plan: Plan = developmentPlan({})) =>
  stage(project, parts, plan)

export const read = (path: string): string => readFileSync(path, 'utf8')
