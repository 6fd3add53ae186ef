import * as z from 'zod'

export const Uuid = z.uuid()
/** `sha256:` and 64 lower-case hex digits. */
export const Digest = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'a digest is "sha256:" and 64 hex digits')
export type Digest = z.infer<typeof Digest>
/** RFC 3339, UTC. */
export const Timestamp = z.iso.datetime({ offset: true })
export const Base64 = z.base64()

export const VmmApiState = z.enum(['running', 'stopped', 'paused', 'error'])
export type VmmApiState = z.infer<typeof VmmApiState>

/** How the VM came up, and how it is reset (§1). */
export const BootPath = z.enum(['fast_snapshot', 'cold_boot'])
export type BootPath = z.infer<typeof BootPath>

export const Backend = z.enum(['vz', 'qemu'])
export type Backend = z.infer<typeof Backend>
/** What executes the guest's instructions; named wherever a time is shown. */
export const Accelerator = z.enum(['vz', 'kvm', 'tcg'])
export type Accelerator = z.infer<typeof Accelerator>

export const OutputStream = z.enum(['stdout', 'stderr'])
export type OutputStream = z.infer<typeof OutputStream>
export const TextEncoding = z.enum(['utf-8', 'base64'])

/** The four guest ports and what they carry (§3). */
export const PORTS = { dispatch: 1024, evidence: 1025, query: 1026, control: 1027 } as const
export const Port = z.union([z.literal(1024), z.literal(1025), z.literal(1026), z.literal(1027)])
export type Port = z.infer<typeof Port>
