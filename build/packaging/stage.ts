import { createHash } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, relative } from 'node:path'
import type { Distribution } from '../../core/protocol/distribution.ts'
import { ImageManifest } from '../../core/protocol/image.ts'
import { fileDigest } from '../../guest/image/digest.ts'
import { SetupError } from '../progress.ts'
import { root as checkout } from '../root.ts'
import { machO } from './mach-o.ts'
import { npmNotices, shippedPackages, sourceOffer } from './notices.ts'
import type { Plan } from './plan.ts'
import { PRODUCT, RECIPE, type Project } from './project.ts'

export type Parts = {
  /** What goes into `app.asar`: path in there → file or folder. Folders are taken whole, source maps aside. */
  bundles: Readonly<Record<string, string>>
  /** Which of them Electron starts. */
  main: string
  helper: string
  /** Folder of the guest image. */
  image: string
  /** Folder with `icon.icns`, `background.png`, `background@2x.png`. */
  art: string
  /** Digest of the image's manifest that a release has to have; null where none is asked for. */
  committedImage: string | null
}

/** Fills `out/packaging/` from checked parts. Throws one sentence at the first part that is not as it should be. */
export async function stage(project: Project, parts: Parts, plan: Plan): Promise<Distribution> {
  checkHelper(parts.helper)
  const manifestDigest = await checkImage(parts.image, parts.committedImage)
  rmSync(project.packaging, { recursive: true, force: true })
  mkdirSync(project.packaging, { recursive: true })
  copyFileSync(parts.helper, project.helper)
  chmodSync(project.helper, 0o755)
  const manifest = stageImage(project, parts.image)
  const distribution: Distribution = {
    schema: 'bsm-distribution/1',
    signing: plan.signing,
    guest: { [RECIPE]: manifestDigest },
    update_feed: plan.updateFeed,
  }
  stageApp(project, parts, distribution)
  stageLicences(project, manifest, plan)
  cpSync(parts.art, project.resources, { recursive: true })
  return distribution
}

export function checkHelper(path: string): void {
  if (!existsSync(path))
    throw new SetupError(`There is no helper at ${path}. Build it: npm run helper:vz, on a Mac.`)
  const file = machO(path)
  if (file === null || !file.arm64 || !file.executable)
    throw new SetupError(`${path} is not a program for Apple silicon. Build it: npm run helper:vz, on a Mac.`)
  const mode = statSync(path).mode & 0o7777
  if (mode !== 0o755)
    throw new SetupError(
      `${path} has mode ${mode.toString(8)} instead of 755. Build it again: npm run helper:vz.`,
    )
}

/** Returns the digest of the manifest after every file was found to be what it says. */
export async function checkImage(folder: string, committed: string | null): Promise<string> {
  const path = join(folder, 'manifest.json')
  if (!existsSync(path))
    throw new SetupError(
      `There is no guest image in ${folder}. On a Mac: npm run guest -- --from FILE, with the image that Linux built.`,
    )
  const manifest = ImageManifest.parse(JSON.parse(readFileSync(path, 'utf8')))
  for (const { file, size, digest } of [manifest.kernel, manifest.initrd, manifest.rootfs]) {
    const part = join(folder, file)
    const found = existsSync(part) && statSync(part).size === size ? await fileDigest(part) : 'another size'
    if (found !== digest)
      throw new SetupError(`${part} is not what the image's manifest says: ${found} instead of ${digest}.`)
  }
  const digest = await fileDigest(path)
  if (committed !== null && digest !== committed)
    throw new SetupError(
      `The guest image is not the committed one: its manifest is ${digest} instead of ${committed}.\n` +
        'Take the published image (npm run guest -- --from FILE), or record this one: see docs/release.md.',
    )
  return digest
}

function stageImage(project: Project, folder: string): ImageManifest {
  const target = join(project.guest, RECIPE)
  mkdirSync(target, { recursive: true })
  const manifest = ImageManifest.parse(JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')))
  for (const file of ['manifest.json', manifest.kernel.file, manifest.initrd.file, manifest.rootfs.file]) {
    copyFileSync(join(folder, file), join(target, file))
    chmodSync(join(target, file), 0o644)
  }
  return manifest
}

function stageApp(project: Project, parts: Parts, distribution: Distribution): void {
  for (const [name, from] of Object.entries(parts.bundles)) {
    if (!existsSync(from)) throw new SetupError(`There is no ${from}. Build it: npm run build.`)
    const target = join(project.app, name)
    mkdirSync(dirname(target), { recursive: true })
    cpSync(from, target, { recursive: true, filter: (path) => !path.endsWith('.map') })
  }
  for (const file of filesBelow(project.app)) {
    const path = join(project.app, file)
    chmodSync(path, 0o644)
    if (!/\.[cm]?js$/.test(file)) continue
    // The map stays behind, and so does its name.
    const text = readFileSync(path, 'utf8')
    writeFileSync(path, text.replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n'))
  }
  const { name, version, description, license } = project.packageJson
  const packageJson = {
    name,
    productName: PRODUCT,
    version,
    description,
    license,
    type: 'module',
    main: parts.main,
  }
  writeFileSync(join(project.app, 'package.json'), `${JSON.stringify(packageJson, undefined, 2)}\n`)
  writeFileSync(join(project.app, 'distribution.json'), `${JSON.stringify(distribution, undefined, 2)}\n`)
}

function stageLicences(project: Project, manifest: ImageManifest, plan: Plan): void {
  cpSync(project.licences, project.stagedLicences, { recursive: true })
  const write = (name: string, text: string) => writeFileSync(join(project.stagedLicences, name), text)
  write('LICENSE', readFileSync(join(checkout, 'LICENSE'), 'utf8'))
  write('npm-packages.txt', npmNotices(shippedPackages(checkout)))
  const contact = plan.kind === 'release' ? plan.sourceContact : null
  write('SOURCE-OFFER.txt', sourceOffer(manifest, project.packageJson.version, contact))
}

/** Relative paths of all files below a folder, in order. */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort()
}

export const sha256Hex = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex')
