import { createHash } from 'node:crypto'
import { createReadStream, readFileSync, readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { pipeline } from 'node:stream/promises'

export const digest = (data: string | Buffer): string =>
  'sha256:' + createHash('sha256').update(data).digest('hex')

export async function fileDigest(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash)
  return 'sha256:' + hash.digest('hex')
}

/** One digest of all files below `dir` that `wanted` takes: their paths and contents, in order of path. */
export function treeDigest(dir: string, wanted: (path: string) => boolean): string {
  const hash = createHash('sha256')
  const paths = readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)))
    .filter(wanted)
    .sort()
  for (const path of paths) hash.update(`${path}\0${digest(readFileSync(join(dir, path)))}\n`)
  return 'sha256:' + hash.digest('hex')
}
