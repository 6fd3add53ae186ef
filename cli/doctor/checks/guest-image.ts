import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { ImageManifest, type ImageFile } from '../../../core/protocol/index.ts'
import type { Check, Machine } from '../check.ts'

const REBUILD = 'npm run guest'

export const guestImage: Check = {
  id: 'guest-image',
  title: 'guest image',
  async run(machine) {
    const path = await manifestPath(machine)
    let text: string
    try {
      text = await readFile(path, 'utf8')
    } catch {
      return { status: 'fail', message: `there is no image: ${path} is missing`, remedy: REBUILD }
    }
    const parsed = ImageManifest.safeParse(parseJson(text))
    if (!parsed.success)
      return { status: 'fail', message: `${path} is not an image manifest`, remedy: REBUILD }
    const { kernel, initrd, rootfs, recipe, image_version: version } = parsed.data
    const wrong: string[] = []
    for (const file of [kernel, initrd, rootfs]) {
      const problem = await differs(join(dirname(path), file.file), file)
      if (problem !== null) wrong.push(problem)
    }
    if (wrong.length > 0) return { status: 'fail', message: wrong.join('; '), remedy: REBUILD }
    return { status: 'ok', message: `${recipe} ${version}; kernel, initrd and rootfs match the manifest` }
  },
}

/** Of the image that runs, or else of the default one. */
async function manifestPath({ root, app }: Machine): Promise<string> {
  const recipe = (await app())?.helper?.image?.recipe ?? 'base'
  return join(root, 'out', 'guest', recipe, 'manifest.json')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/** Null when the file has the bytes that the manifest says. */
async function differs(path: string, expected: ImageFile): Promise<string | null> {
  const hash = createHash('sha256')
  try {
    await pipeline(createReadStream(path), hash)
  } catch {
    return `${expected.file} cannot be read`
  }
  return `sha256:${hash.digest('hex')}` === expected.digest
    ? null
    : `${expected.file} is not the file of the manifest`
}
