import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import * as z from 'zod'
import { ImageBuildError } from './error.ts'

/** What a rootfs holds. `guest/recipes/*.json` come with the project; a user may write another. */
const recipeSchema = z.strictObject({
  /** Names the image and its output folder. */
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/),
  /** Debian packages by name; what they depend on comes along. */
  packages: z.array(z.string().regex(/^[a-z0-9][a-z0-9+.-]+$/)).min(1),
  /** Dependencies to leave out: needed by a package's scripts, which never run here. `*` stands for any letters. */
  exclude: z.array(z.string()).default([]),
  /** If given, of the packages' files only these paths are kept. */
  keep: z.array(z.string().startsWith('/')).optional(),
  /** Paths (with what is below) that are left out. `*` stands for any letters but a slash. */
  drop: z.array(z.string().startsWith('/')).default([]),
  /** Applets that become links to busybox where no package brought a program of that name. */
  busybox: z.array(z.string().regex(/^[a-z0-9[]+$/)).default([]),
  /** The size of the disk. It is hashed at every reset: keep it small. */
  size_mib: z.int().min(1).max(8192),
  /** Files of one's own: path in the guest → content. */
  files: z
    .record(
      z.string().regex(/^\/(?!(?:.*\/)?\.\.(?:\/|$))./),
      z.strictObject({ text: z.string(), mode: z.int().default(0o644) }),
    )
    .default({}),
})

export type Recipe = z.infer<typeof recipeSchema>

export const guestDir = resolve(import.meta.dirname, '..')

/** Reads `base`, `python` or a path to a recipe file. */
export function readRecipe(nameOrFile: string): Recipe {
  const recipes = join(guestDir, 'recipes')
  const file = /^[a-z0-9-]+$/.test(nameOrFile) ? join(recipes, `${nameOrFile}.json`) : resolve(nameOrFile)
  const name = basename(file)
  const mend = 'Mend it (docs/guest-image.md says what a recipe holds) and run the same command again.'
  if (!existsSync(file)) {
    const known = readdirSync(recipes).flatMap((entry) => /^(.+)\.json$/.exec(entry)?.[1] ?? [])
    throw new ImageBuildError(
      `There is no recipe "${nameOrFile}".`,
      `Use ${known.sort().join(' or ')}, or the path of a recipe file.`,
    )
  }
  let json: unknown
  try {
    json = JSON.parse(readFileSync(file, 'utf8'))
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new ImageBuildError(`The recipe ${name} cannot be read as JSON: ${why}.`, mend, { cause })
  }
  const parsed = recipeSchema.safeParse(json)
  if (!parsed.success)
    throw new ImageBuildError(`The recipe ${name} is not valid:\n${z.prettifyError(parsed.error)}\n`, mend)
  return parsed.data
}

/** Tells whether one of the patterns is the whole text; `*` stands for any letters but a slash. */
export function matcher(patterns: readonly string[]): (text: string) => boolean {
  const all = patterns.map(
    (pattern) =>
      new RegExp(
        `^${pattern
          .split('*')
          .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
          .join('[^/]*')}$`,
      ),
  )
  return (text) => all.some((one) => one.test(text))
}
