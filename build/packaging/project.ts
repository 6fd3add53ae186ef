import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod'

/** The one recipe that the app comes with. */
export const RECIPE = 'base'
export const PRODUCT = 'Brainstorm Sandbox'
export const HELPER = 'bsm-vz-helper'

const PackageJson = z.object({
  name: z.string(),
  version: z.string(),
  description: z.string(),
  license: z.string(),
  devDependencies: z.object({ electron: z.string().regex(/^\d+\.\d+\.\d+$/, 'electron is pinned exactly') }),
})

/** Where the parts of a distribution lie in a checkout, or in a test's stand-in of one. */
export function project(root: string) {
  const packaging = join(root, 'out/packaging')
  return {
    root,
    config: join(root, 'electron-builder.yml'),
    entitlements: join(root, 'entitlements'),
    licences: join(root, 'licences'),
    changelog: join(root, 'CHANGELOG.md'),
    /** Staged by us, read by electron-builder. */
    packaging,
    app: join(packaging, 'app'),
    helper: join(packaging, HELPER),
    guest: join(packaging, 'guest'),
    stagedLicences: join(packaging, 'licences'),
    resources: join(packaging, 'resources'),
    release: join(root, 'out/release'),
    bundle: join(root, 'out/release/mac-arm64', `${PRODUCT}.app`),
    packageJson: PackageJson.parse(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))),
  }
}
export type Project = ReturnType<typeof project>
