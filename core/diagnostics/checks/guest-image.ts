import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { buildCommand } from '../../image.ts'
import { ImageManifest, type ImageFile } from '../../protocol/index.ts'
import type { Check } from '../check.ts'

export const guestImage: Check = {
  id: 'guest-image',
  title: 'guest image',
  async run(machine) {
    // The image that runs, or else the default one.
    const named = (await machine.app())?.helper?.image?.recipe ?? 'base'
    const path = join(machine.imageDir, named, 'manifest.json')
    const remedy = buildCommand(named)
    let text: string
    try {
      text = await readFile(path, 'utf8')
    } catch {
      return { status: 'fail', message: `there is no image: ${path} is missing`, remedy }
    }
    const parsed = ImageManifest.safeParse(parseJson(text))
    if (!parsed.success) return { status: 'fail', message: `${path} is not an image manifest`, remedy }
    const { kernel, initrd, rootfs, recipe, image_version: version } = parsed.data
    const wrong: string[] = []
    for (const file of [kernel, initrd, rootfs]) {
      const problem = await differs(join(dirname(path), file.file), file)
      if (problem !== null) wrong.push(problem)
    }
    if (wrong.length > 0) return { status: 'fail', message: wrong.join('; '), remedy }
    return { status: 'ok', message: `${recipe} ${version}; kernel, initrd and rootfs match the manifest` }
  },
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
