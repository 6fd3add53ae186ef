import * as z from 'zod'
import { Digest } from './common.ts'

/** How the bundle was signed, and with it what its helper's signature has to say. */
export const Signing = z.discriminatedUnion('kind', [
  /** Without a certificate, for the machine that built it. */
  z.strictObject({ kind: z.literal('ad_hoc') }),
  z.strictObject({
    kind: z.literal('developer_id'),
    team_id: z.string().regex(/^[A-Z0-9]{10}$/, 'a team ID is ten capital letters and digits'),
  }),
])
export type Signing = z.infer<typeof Signing>

/** `distribution.json` inside `app.asar`: what the app expects of the parts that lie beside it. */
export const Distribution = z.strictObject({
  schema: z.literal('bsm-distribution/1'),
  signing: Signing,
  /** Recipe → digest of its `manifest.json`, which in turn names every file of the image. */
  guest: z.record(z.string(), Digest),
  /** Where updates are looked for; null: nowhere. */
  update_feed: z.url({ protocol: /^https$/ }).nullable(),
})
export type Distribution = z.infer<typeof Distribution>

/**
 * The requirement (Apple's Code Signing Requirement Language) that a helper of this distribution satisfies. A
 * Developer ID is Apple's root, the intermediate and leaf marks of such certificates, and our team; an ad-hoc
 * signature proves only that the bytes are those that were signed.
 */
export function helperRequirement(signing: Signing): string {
  const identifier = `identifier "bsm-vz-helper"`
  switch (signing.kind) {
    case 'ad_hoc':
      return identifier
    case 'developer_id':
      return [
        identifier,
        'anchor apple generic',
        'certificate 1[field.1.2.840.113635.100.6.2.6] exists',
        'certificate leaf[field.1.2.840.113635.100.6.1.13] exists',
        `certificate leaf[subject.OU] = "${signing.team_id}"`,
      ].join(' and ')
  }
}
