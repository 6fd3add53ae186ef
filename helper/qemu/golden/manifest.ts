import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import * as z from 'zod'
import {
  Accelerator,
  BsmError,
  canonicalJson,
  Digest,
  sha256,
  Timestamp,
} from '../../../core/protocol/index.ts'
import { linkPrivateFile, readPrivateFile } from '../private-files.ts'

/** What a golden snapshot was made of. Another part, another snapshot. */
export const GoldenParts = z.strictObject({
  kernel: Digest,
  initrd: Digest.nullable(),
  rootfs: Digest,
  cmdline: z.string(),
  cpus: z.int().positive(),
  memory_mib: z.int().positive(),
  backend: z.literal('qemu'),
  accelerator: Accelerator,
  machine: z.string(),
  qemu_version: z.string(),
})
export type GoldenParts = z.infer<typeof GoldenParts>

export const GoldenManifest = z.strictObject({
  schema: z.literal('bsm-golden/1'),
  ...GoldenParts.shape,
  device_state: Digest,
  /** The RAM digest, defined in `launcher/digest.go`. */
  ram: Digest,
  /** 32 random bytes that the guest drew; a restored guest shows them until its first dispatch (§3). */
  nonce: z.string().regex(/^[0-9a-f]{64}$/),
  image_digest: Digest.nullable(),
  created_at: Timestamp,
})
export type GoldenManifest = z.infer<typeof GoldenManifest>

/** Measured on the first standby that was restored from this golden snapshot (§4). */
export const Baselines = z.strictObject({
  golden_hash: Digest,
  open_fd_count: z.int().nonnegative(),
  overlay_bytes: z.int().nonnegative(),
})
export type Baselines = z.infer<typeof Baselines>

export const goldenHash = (manifest: GoldenManifest): string => sha256(canonicalJson(manifest))

/** Names of the parts in which two snapshots differ. */
export function differences(a: GoldenParts, b: GoldenParts): string[] {
  return (Object.keys(GoldenParts.shape) as (keyof GoldenParts)[]).filter((part) => a[part] !== b[part])
}

/** Authenticates what lies in the state directory, with a key that lies elsewhere (§4). */
export class Authenticator {
  readonly #key: Buffer

  constructor(keyPath: string) {
    this.#key = readOrMakeKey(keyPath)
  }

  /** The text of a file that holds `value` and its HMAC. */
  sign(value: unknown): string {
    return JSON.stringify({ value, hmac: this.#hmac(value) }, null, 1) + '\n'
  }

  /** The value of such a file; throws when the HMAC is not ours or the form not that of `schema`. */
  open<T>(text: string, schema: z.ZodType<T>): T {
    const envelope = z
      .strictObject({ value: z.json(), hmac: z.string().regex(/^[0-9a-f]{64}$/) })
      .parse(JSON.parse(text))
    const expected = Buffer.from(this.#hmac(envelope.value), 'hex')
    if (!timingSafeEqual(expected, Buffer.from(envelope.hmac, 'hex')))
      throw new Error('its authentication code does not match')
    return schema.parse(envelope.value)
  }

  /** A file name for `text` that only the holder of the key can tell. */
  nameOf(text: string): string {
    return this.#hmac({ name: text }).slice(0, 32)
  }

  #hmac(value: unknown): string {
    return createHmac('sha256', this.#key).update(canonicalJson(value)).digest('hex')
  }
}

const KEY_BYTES = 32

function readOrMakeKey(path: string): Buffer {
  let text: string | null
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    text = readPrivateFile(path)
    if (text === null) {
      linkPrivateFile(path, randomBytes(KEY_BYTES).toString('hex') + '\n')
      text = readPrivateFile(path) // ours, or that of a helper that was faster
    }
  } catch (cause) {
    if (cause instanceof BsmError) throw cause
    throw new BsmError('VM_LIFECYCLE_ERROR', 'helper', `The key ${path} cannot be made or read.`, {
      nextStep: 'Look at the configuration directory and its permissions.',
      cause,
    })
  }
  if (text !== null && /^[0-9a-f]{64}\n?$/.test(text)) return Buffer.from(text.trim(), 'hex')
  throw new BsmError('VM_LIFECYCLE_ERROR', 'helper', `The key ${path} is damaged.`, {
    nextStep: 'Move it and the state directory away: both are made anew.',
  })
}
