import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import * as z from 'zod'
import { Digest } from '../../core/protocol/common.ts'
import { digest } from './digest.ts'

/** A Debian package as it was downloaded. */
const Package = z.strictObject({ name: z.string(), version: z.string(), digest: Digest, file: z.string() })
export type Package = z.infer<typeof Package>

/**
 * The packages of a recipe as they were resolved last: a warm build needs neither apt nor the network, and stays the
 * same until someone asks for newer packages (`--update`).
 */
export async function lockedPackages(
  dir: string,
  key: unknown,
  update: boolean,
  resolve: () => Promise<Package[]>,
): Promise<Package[]> {
  const lock = join(dir, `resolved-${digest(JSON.stringify(key)).slice(7, 23)}.json`)
  const known = update ? undefined : readLock(lock, join(dir, 'debs'))
  if (known) return known
  const packages = await resolve()
  const text = packages.map((p) => ({ ...p, file: basename(p.file) }))
  writeFileSync(`${lock}.${String(process.pid)}`, JSON.stringify(text, undefined, 1))
  renameSync(`${lock}.${String(process.pid)}`, lock)
  return packages
}

/** What the lock names, if it can be read and all its files are there. */
function readLock(lock: string, debs: string): Package[] | undefined {
  if (!existsSync(lock)) return undefined
  try {
    const packages = z.array(Package).parse(JSON.parse(readFileSync(lock, 'utf8')))
    const found = packages.map((p) => ({ ...p, file: join(debs, basename(p.file)) }))
    return found.every((p) => existsSync(p.file)) ? found : undefined
  } catch {
    return undefined // spoiled: resolved anew
  }
}
