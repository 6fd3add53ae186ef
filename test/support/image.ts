import { chmodSync, cpSync, existsSync, readFileSync, readdirSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { ImageManifest } from '../../core/protocol/index.ts'
import { buildImage } from '../../guest/image/build.ts'

export type GuestImage = {
  dir: string
  kernel: string
  initrd: string
  rootfs: string
  manifest: ImageManifest
}

export const repository = resolve(import.meta.dirname, '../..')

/** The built guest image of a recipe (`base-test` is the test variant of `base`); throws with the command that builds it. */
export function guestImage(name = 'base'): GuestImage {
  const dir = join(repository, 'out/guest', name)
  if (!existsSync(join(dir, 'manifest.json')))
    throw new Error(`The guest image "${name}" was not built (${dir} has no manifest): run "npm run guest".`)
  return imageIn(dir)
}

/** The guest image in a folder. */
export function imageIn(dir: string): GuestImage {
  const manifestPath = join(dir, 'manifest.json')
  const manifest = ImageManifest.parse(JSON.parse(readFileSync(manifestPath, 'utf8')))
  return {
    dir,
    kernel: join(dir, manifest.kernel.file),
    initrd: join(dir, manifest.initrd.file),
    rootfs: join(dir, manifest.rootfs.file),
    manifest,
  }
}

/** The same, built first where its inputs changed: a stale image would hide a fix or a bug. */
export async function freshImage(
  recipe = 'base',
  variant: 'product' | 'test' = 'product',
): Promise<GuestImage> {
  // A Mac has none of what builds it: there the image is brought along.
  if (process.platform === 'linux') await buildImage({ recipe, variant })
  return guestImage(variant === 'test' ? `${recipe}-test` : recipe)
}

/** A private, writable copy of an image, for tests that spoil it. */
export function copyImage(image: GuestImage, dir: string): GuestImage {
  cpSync(image.dir, dir, { recursive: true })
  for (const name of readdirSync(dir)) chmodSync(join(dir, name), 0o644)
  const moved = (path: string) => join(dir, basename(path))
  return {
    ...image,
    dir,
    kernel: moved(image.kernel),
    initrd: moved(image.initrd),
    rootfs: moved(image.rootfs),
  }
}
