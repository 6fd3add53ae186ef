import { statSync } from 'node:fs'
import type { GuestImage } from './image.ts'
import type { Scratch } from './scratch.ts'

/**
 * The file that the VM of a booted helper or app has as its disk: a private clone below the state directory where the helper
 * makes one, else the image's own (wire-protocol §4).
 */
export function diskOf({ scratch }: { scratch: Scratch }, { rootfs, manifest }: GuestImage): string {
  const clones = scratch
    .list(scratch.stateDir)
    .filter(({ kind, path }) => kind === 'file' && statSync(scratch.path(path)).size === manifest.rootfs.size)
  if (clones.length > 1) throw new Error(`which is the disk: ${clones.map(({ path }) => path).join(', ')}?`)
  return clones[0] ? scratch.path(clones[0].path) : rootfs
}

/** The private file that the vz helper restores VMs from. */
export function goldenCloneOf({ scratch }: { scratch: Scratch }): string {
  const clones = scratch.list(scratch.stateDir).filter(({ path }) => /\/run-[^/]+\/golden-\d+$/.test(path))
  const [clone] = clones
  if (clone === undefined || clones.length > 1) throw new Error(`it has ${clones.length} private clones`)
  return scratch.path(clone.path)
}
