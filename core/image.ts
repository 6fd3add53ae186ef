import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileError, readSmallFile } from './files.ts'
import { BsmError, ImageManifest } from './protocol/index.ts'

/** A guest image as the app boots it. */
export interface GuestImage {
  readonly manifest: ImageManifest
  readonly kernel: string
  readonly initrd: string
  readonly rootfs: string
}

const MAX_MANIFEST_BYTES = 1024 * 1024

/** Reads `imageDir/recipe/manifest.json`. The files it names are checked by the helper before every boot. */
export function loadImage(imageDir: string, recipe: string): GuestImage {
  const directory = join(imageDir, recipe)
  const path = join(directory, 'manifest.json')
  let text: string | null
  try {
    text = readSmallFile(path, MAX_MANIFEST_BYTES)
  } catch (error) {
    throw fileError(error, `read ${path}`)
  }
  if (text === null)
    throw new BsmError('BOOT_CONFIG_INVALID', 'app', `There is no guest image "${recipe}" in ${imageDir}.`, {
      nextStep: `Build it: ${buildCommand(recipe)}.`,
    })
  const manifest = parse(text, path, recipe)
  return {
    manifest,
    kernel: join(directory, manifest.kernel.file),
    initrd: join(directory, manifest.initrd.file),
    rootfs: join(directory, manifest.rootfs.file),
  }
}

/** The images of a directory that can be read; others are `bsm doctor`'s business. */
export function listImages(
  imageDir: string,
): { recipe: string; image_version: string; image_digest: string }[] {
  let names: string[]
  try {
    names = readdirSync(imageDir).sort()
  } catch {
    return []
  }
  return names.flatMap((recipe) => {
    try {
      const { image_version, image_digest } = loadImage(imageDir, recipe).manifest
      return [{ recipe, image_version, image_digest }]
    } catch {
      return []
    }
  })
}

/** What makes the image of a recipe. */
export const buildCommand = (recipe: string): string =>
  recipe === 'base' ? 'npm run guest' : `npm run guest -- --recipe ${recipe}`

function parse(text: string, path: string, recipe: string): ImageManifest {
  try {
    return ImageManifest.parse(JSON.parse(text))
  } catch (error) {
    throw new BsmError('IMAGE_MISMATCH', 'app', `${path} is not an image manifest.`, {
      nextStep: `Build the image again: ${buildCommand(recipe)}.`,
      cause: error,
    })
  }
}
