import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod'
import type { ImageManifest } from '../../core/protocol/image.ts'

const Lock = z.object({
  packages: z.record(
    z.string(),
    z.object({
      version: z.string().optional(),
      license: z.string().optional(),
      dependencies: z.record(z.string(), z.string()).optional(),
    }),
  ),
})
type Lock = z.infer<typeof Lock>
export type NpmPackage = { name: string; version: string; licence: string; folder: string }

/**
 * What the app's bundles import. All of package.json's packages are for development, since everything that ships is
 * bundled; `test/packaging` holds this list to the bundles.
 */
const BUNDLED = [
  '@base-ui/react',
  '@visx/group',
  '@visx/scale',
  '@visx/shape',
  'canonicalize',
  'electron-updater',
  'fflate',
  'pino',
  'react',
  'react-dom',
  'semver',
  'ws',
  'zod',
  'zustand',
]

/** The npm packages that the bundles are made of, and those that these depend on, by name. */
export function shippedPackages(root: string): NpmPackage[] {
  const lock = Lock.parse(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')))
  const paths = new Set<string>()
  const take = (name: string, from: string): void => {
    const path = resolved(lock, name, from)
    if (path === null || paths.has(path) || !existsSync(join(root, path))) return
    paths.add(path)
    for (const dependency of Object.keys(lock.packages[path]?.dependencies ?? {})) take(dependency, path)
  }
  for (const name of BUNDLED) take(name, '')
  return [...paths]
    .map((path) => ({
      name: path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
      version: lock.packages[path]?.version ?? '',
      licence: lock.packages[path]?.license ?? 'not stated',
      folder: join(root, path),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Where Node finds `name` for a package that lies at `from`: its own copy, or one further up. */
function resolved({ packages }: Lock, name: string, from: string): string | null {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    const path = at === '' ? `node_modules/${name}` : `${at}/node_modules/${name}`
    if (path in packages) return path
    if (at === '') return null
  }
}

const RULE = '='.repeat(78)

/** Name, version, licence and licence text of each package. */
export function npmNotices(packages: readonly NpmPackage[]): string {
  return packages
    .map(({ name, version, licence, folder }) => {
      const files = readdirSync(folder).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file))
      const texts = files.sort().map((file) => readFileSync(join(folder, file), 'utf8').trim())
      return [RULE, `${name} ${version} (${licence})`, RULE, '', ...texts, ''].join('\n')
    })
    .join('\n')
}

/** The written offer for the GPL and LGPL parts of a guest image, with the versions that its manifest names. */
export function sourceOffer(manifest: ImageManifest, version: string, contact: string | null): string {
  const debian = manifest.inputs
    .filter(({ name }) => name.startsWith('deb:'))
    .map(({ name, version, digest }) => `  ${name.slice(4)} ${version}\n    ${digest}`)
  const offer =
    contact === null
      ? 'This is a development build, made for the machine it was built on and not for distribution; it carries no offer.'
      : [
          'The complete corresponding source of these packages is published beside this version, under the same',
          `address, as Brainstorm-Sandbox-${version}-sources.tar. For three years after you received this version,`,
          'anyone may also ask for it on a medium customary for software interchange, for no more than the cost of',
          `sending it: ${contact}`,
        ].join('\n')
  return [
    'SOURCE OF THE GPL AND LGPL PARTS',
    '',
    `The guest image "${manifest.recipe}" ${manifest.image_version} (${manifest.image_digest})`,
    'contains, unchanged, programs of these Debian packages:',
    '',
    ...debian,
    '',
    'They hold the Linux kernel and its modules (GPL-2.0), BusyBox (GPL-2.0) and, linked into BusyBox,',
    'the GNU C library (LGPL-2.1). BusyBox and the library may be replaced: the image is built from a',
    'recipe, and `npm run guest -- --recipe FILE` builds yours.',
    '',
    offer,
    '',
  ].join('\n')
}
