import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { ImageManifest } from '../../core/protocol/image.ts'
import { digest, fileDigest } from './digest.ts'
import type { Manifest } from './manifest.ts'

/** What stands in an image's `stamp`: the inputs it was made of, and the manifest that came of them. */
export const stampText = (inputs: string, manifestText: string): string =>
  `${inputs}\n${digest(manifestText)}\n`

export type Built = { manifest: Manifest } | { spoiled: string } | { changed: true } | undefined

/**
 * The image in `dir`, if it was made of these inputs and has the very bytes its manifest names; `spoiled` says in
 * words what it has not. Undefined if there is none.
 */
export async function readBuilt(dir: string, inputs: string): Promise<Built> {
  if (!existsSync(dir)) return undefined
  try {
    const stamp = readFileSync(join(dir, 'stamp'), 'utf8')
    if (!stamp.startsWith(inputs)) return { changed: true }
    const text = readFileSync(join(dir, 'manifest.json'), 'utf8')
    if (stamp !== stampText(inputs, text)) return { spoiled: 'manifest.json is not the one that was written' }
    const manifest = ImageManifest.parse(JSON.parse(text))
    for (const part of [manifest.kernel, manifest.initrd, manifest.rootfs]) {
      const { size } = statSync(join(dir, part.file))
      if (size !== part.size)
        return { spoiled: `${part.file} has ${String(size)} bytes instead of ${String(part.size)}` }
      if ((await fileDigest(join(dir, part.file))) !== part.digest)
        return { spoiled: `${part.file} has not the bytes that the manifest names` }
    }
    return { manifest }
  } catch (error) {
    return { spoiled: error instanceof Error ? error.message : String(error) }
  }
}
