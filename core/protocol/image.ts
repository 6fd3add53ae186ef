import * as z from 'zod'
import { Digest } from './common.ts'

/** A tool as the image declares it; the one place from which everyone takes its schema. */
export const ToolSpec = z.strictObject({
  name: z.string().min(1),
  description: z.string(),
  /** JSON Schema (draft 2020-12) of `params`. */
  params_schema: z.record(z.string(), z.json()),
})
export type ToolSpec = z.infer<typeof ToolSpec>

export const ImageFile = z.strictObject({
  file: z.string().regex(/^[A-Za-z0-9._-]+$/),
  size: z.int().positive(),
  digest: Digest,
})
export type ImageFile = z.infer<typeof ImageFile>

/** `manifest.json` beside a guest image. */
export const ImageManifest = z.strictObject({
  schema: z.literal('bsm-image/1'),
  image_version: z.string(),
  recipe: z.string(),
  arch: z.literal('arm64'),
  /** SHA-256 of the RFC 8785 JSON of `{image_version, recipe, inputs, tools}`; what the guest reports in `Hello`. */
  image_digest: Digest,
  kernel: ImageFile,
  initrd: ImageFile,
  rootfs: ImageFile,
  cmdline: z.string(),
  tools: z.array(ToolSpec),
  inputs: z.array(z.strictObject({ name: z.string(), version: z.string(), digest: Digest })),
})
export type ImageManifest = z.infer<typeof ImageManifest>
