import { statSync } from 'node:fs'
import type { Helper } from './helper.ts'
import type { GuestImage } from './image.ts'

/**
 * The file that a booted helper's VM has as its disk: a private clone below the state directory where the helper
 * makes one, else the image's own (wire-protocol §4).
 */
export function diskOf({ scratch }: Helper, { rootfs, manifest }: GuestImage): string {
  const clones = scratch
    .list(scratch.stateDir)
    .filter(({ kind, path }) => kind === 'file' && statSync(scratch.path(path)).size === manifest.rootfs.size)
  if (clones.length > 1) throw new Error(`which is the disk: ${clones.map(({ path }) => path).join(', ')}?`)
  return clones[0] ? scratch.path(clones[0].path) : rootfs
}
