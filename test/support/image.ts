import { chmodSync, cpSync, existsSync, readFileSync, readdirSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { ImageManifest } from '../../core/protocol/index.ts'

export type GuestImage = {
  dir: string
  kernel: string
  initrd: string
  rootfs: string
  manifest: ImageManifest
}

export const repository = resolve(import.meta.dirname, '../..')

/** The built guest image of a recipe; throws with the command that builds it. */
export function guestImage(recipe = 'base'): GuestImage {
  const dir = join(process.env['BSM_IMAGE_DIR'] ?? join(repository, 'out/guest'), recipe)
  const manifestPath = join(dir, 'manifest.json')
  if (!existsSync(manifestPath)) {
    const command = recipe.endsWith('-test')
      ? `npx tsx guest/image/build.ts --recipe ${recipe.slice(0, -'-test'.length)} --variant test`
      : 'npm run guest'
    throw new Error(
      `The guest image "${recipe}" was not built (${manifestPath} is missing): run "${command}".`,
    )
  }
  const manifest = ImageManifest.parse(JSON.parse(readFileSync(manifestPath, 'utf8')))
  const file = (name: string) => join(dir, name)
  return {
    dir,
    kernel: file(manifest.kernel.file),
    initrd: file(manifest.initrd.file),
    rootfs: file(manifest.rootfs.file),
    manifest,
  }
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
