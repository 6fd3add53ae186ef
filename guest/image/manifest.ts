import canonicalize from 'canonicalize'
import type { ImageFile, ImageManifest, ToolSpec } from '../../core/protocol/image.ts'
import { digest } from './digest.ts'

export type Manifest = ImageManifest
export type Part = ImageFile
export type Tool = ToolSpec
export type Input = ImageManifest['inputs'][number]

/** What an image is made of; the guest carries its digest as its own identity. */
export type Identity = Pick<Manifest, 'image_version' | 'recipe' | 'inputs' | 'tools'>

export const CMDLINE = 'console=hvc0 root=/dev/vda ro quiet panic=-1'

export function imageDigest(identity: Identity): string {
  const { image_version, recipe, inputs, tools } = identity
  const canonical = canonicalize({ image_version, recipe, inputs, tools })
  if (canonical === undefined) throw new Error('The image identity has no canonical form.')
  return digest(canonical)
}
