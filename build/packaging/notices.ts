import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { ImageManifest } from '../../core/protocol/image.ts'

const Lock = z.object({
  packages: z.record(
    z.string(),
    z.object({ version: z.string().optional(), dev: z.boolean().optional(), license: z.string().optional() }),
  ),
})
export type NpmPackage = { name: string; version: string; licence: string; folder: string }

/** The npm packages that are not for development alone: what the bundles are made of, by name. */
export function shippedPackages(root: string): NpmPackage[] {
  const { packages } = Lock.parse(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')))
  return Object.entries(packages)
    .filter(([path, { dev }]) => path !== '' && dev !== true && existsSync(join(root, path)))
    .map(([path, { version = '', license = 'not stated' }]) => ({
      name: path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
      version,
      licence: license,
      folder: join(root, path),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
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
