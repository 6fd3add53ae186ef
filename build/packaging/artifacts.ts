import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { load } from 'js-yaml'
import * as z from 'zod'
import { fileDigest } from '../../guest/image/digest.ts'
import { SetupError } from '../progress.ts'
import type { Plan } from './plan.ts'
import type { Project } from './project.ts'

const UpdateInfo = z.object({
  version: z.string(),
  path: z.string(),
  sha512: z.string(),
  files: z.array(z.object({ url: z.string(), sha512: z.string(), size: z.int() })),
})

/** Throws unless `latest-mac.yml` says of the archive what its final bytes are, and of nothing else. */
export function checkUpdateInfo(project: Project, plan: Plan): void {
  const path = join(project.release, 'latest-mac.yml')
  if (plan.updateFeed === null) {
    if (existsSync(path)) throw new SetupError(`${path} was made although no feed is configured.`)
    return
  }
  if (!existsSync(path)) throw new SetupError(`There is no ${path}: nobody would find the update.`)
  const info = UpdateInfo.parse(load(readFileSync(path, 'utf8')))
  const { version } = project.packageJson
  const archive = `Brainstorm-Sandbox-${version}-arm64.zip`
  const bytes = readFileSync(join(project.release, archive))
  const sha512 = createHash('sha512').update(bytes).digest('base64')
  const expected = { version, path: archive, sha512, files: [{ url: archive, sha512, size: bytes.length }] }
  if (JSON.stringify(expected) !== JSON.stringify({ ...info, files: info.files.map(known) }))
    throw new SetupError(
      `${path} does not describe ${archive} as it is:\n  ${JSON.stringify(info)}\n  ${JSON.stringify(expected)}`,
    )
}

const known = ({ url, sha512, size }: { url: string; sha512: string; size: number }) => ({
  url,
  sha512,
  size,
})

/** What people and updaters download, with what describes it; by name. */
export const published = (project: Project): string[] =>
  readdirSync(project.release)
    .filter((name) => /\.(dmg|zip|zip\.blockmap|cdx\.json|md)$|^latest-mac\.yml$/.test(name))
    .sort()

/** Writes `SHA256SUMS` in the form that `shasum -a 256 -c` takes. Last of all: after it no byte may change. */
export async function writeChecksums(project: Project): Promise<string[]> {
  const names = published(project)
  const lines = await Promise.all(
    names.map(
      async (name) => `${(await fileDigest(join(project.release, name))).slice('sha256:'.length)}  ${name}\n`,
    ),
  )
  writeFileSync(join(project.release, 'SHA256SUMS'), lines.join(''))
  return [...names, 'SHA256SUMS']
}
