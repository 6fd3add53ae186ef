import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { fileError } from '../files.ts'
import { loadImage } from '../image.ts'
import { BsmError, type Distribution } from '../protocol/index.ts'

/**
 * Throws unless the image of `recipe` is the one that the app was built with: its manifest by the digest sealed in
 * the app, each file by size and digest as the manifest names it.
 */
export async function checkGuestImage(
  imageDir: string,
  recipe: string,
  { guest }: Pick<Distribution, 'guest'>,
): Promise<void> {
  const expected = Object.hasOwn(guest, recipe) ? guest[recipe] : undefined
  if (expected === undefined)
    throw new BsmError('IMAGE_MISMATCH', 'app', `This app comes without a guest image "${recipe}".`, {
      nextStep: `Choose one that it has: ${Object.keys(guest).join(', ')}.`,
    })
  const folder = join(imageDir, recipe)
  if ((await digestOf(join(folder, 'manifest.json'))) !== expected) throw changed(recipe, 'manifest.json')
  const { manifest } = loadImage(imageDir, recipe)
  for (const { file, size, digest } of [manifest.kernel, manifest.initrd, manifest.rootfs]) {
    const path = join(folder, file)
    if ((await sizeOf(path)) !== size || (await digestOf(path)) !== digest) throw changed(recipe, file)
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch (error) {
    throw fileError(error, `read ${path}`)
  }
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  try {
    await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash)
  } catch (error) {
    throw fileError(error, `read ${path}`)
  }
  return `sha256:${hash.digest('hex')}`
}

const changed = (recipe: string, file: string): BsmError =>
  new BsmError(
    'IMAGE_MISMATCH',
    'app',
    `${file} of the guest image "${recipe}" is not the one of this app.`,
    {
      nextStep: 'Install the app again from its disk image.',
    },
  )
