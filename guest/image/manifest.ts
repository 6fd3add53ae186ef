import canonicalize from 'canonicalize'
import { digest } from './digest.ts'

export interface Input {
  name: string
  version: string
  digest: string
}

export interface Part {
  file: string
  /** Bytes. */
  size: number
  digest: string
}

export interface Tool {
  name: string
  description: string
  params_schema: Record<string, unknown>
}

/** What an image is made of; the guest carries its digest as its own identity. */
export interface Identity {
  image_version: string
  recipe: string
  inputs: Input[]
  tools: Tool[]
}

/** `manifest.json`, schema `bsm-image/1`. */
export interface Manifest extends Identity {
  schema: 'bsm-image/1'
  arch: 'arm64'
  image_digest: string
  kernel: Part
  initrd: Part
  rootfs: Part
  cmdline: string
}

export const CMDLINE = 'console=hvc0 root=/dev/vda ro quiet panic=-1'

export function imageDigest(identity: Identity): string {
  const { image_version, recipe, inputs, tools } = identity
  const canonical = canonicalize({ image_version, recipe, inputs, tools })
  if (canonical === undefined) throw new Error('The image identity has no canonical form.')
  return digest(canonical)
}
