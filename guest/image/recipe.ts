import { readFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { z } from 'zod'

/** What a rootfs holds. `guest/recipes/*.json` come with the project; a user may write another. */
const recipeSchema = z.strictObject({
  /** Names the image and its output folder. */
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/),
  /** Debian packages by name; what they depend on comes along. */
  packages: z.array(z.string().regex(/^[a-z0-9][a-z0-9+.-]+$/)).min(1),
  /** Dependencies to leave out: needed by a package's scripts, which never run here. */
  exclude: z.array(z.string()).default([]),
  /** If given, of the packages' files only these paths are kept. */
  keep: z.array(z.string().startsWith('/')).optional(),
  /** Paths (with what is below) that are left out. */
  drop: z.array(z.string().startsWith('/')).default([]),
  /** Applets that become links to busybox where no package brought a program of that name. */
  busybox: z.array(z.string().regex(/^[a-z0-9[]+$/)).default([]),
  /** The size of the disk. It is hashed at every reset: keep it small. */
  size_mib: z.int().min(1).max(8192),
  /** Files of one's own: path in the guest → content. */
  files: z
    .record(z.string().startsWith('/'), z.strictObject({ text: z.string(), mode: z.int().default(0o644) }))
    .default({}),
})

export type Recipe = z.infer<typeof recipeSchema>

export const guestDir = resolve(import.meta.dirname, '..')

/** Reads `base`, `python` or a path to a recipe file. */
export function readRecipe(nameOrFile: string): Recipe {
  const file = /^[a-z0-9-]+$/.test(nameOrFile)
    ? join(guestDir, 'recipes', `${nameOrFile}.json`)
    : resolve(nameOrFile)
  const parsed = recipeSchema.safeParse(JSON.parse(readFileSync(file, 'utf8')))
  if (!parsed.success)
    throw new Error(`The recipe ${basename(file)} is not valid: ${z.prettifyError(parsed.error)}`)
  return parsed.data
}
