import { basename, dirname, join, resolve } from 'node:path'

/** Where a guest image lies: `recipe` is a folder in `imageDir`, and without one the settings name it. */
export type ImagePlace = { imageDir: string; recipe?: string }

/** A recipe's name, or the path of an image's folder (with a slash). */
export function locateImage(choice: string | undefined, root: string): ImagePlace {
  const imageDir = join(root, 'out', 'guest')
  if (choice === undefined) return { imageDir }
  if (!choice.includes('/')) return { imageDir, recipe: choice }
  const folder = resolve(choice)
  return { imageDir: dirname(folder), recipe: basename(folder) }
}
