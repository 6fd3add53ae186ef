import * as z from 'zod'

/** What one check of the machine or the app found. */
export const CheckResult = z.object({
  id: z.string(),
  title: z.string(),
  status: z.enum(['ok', 'warn', 'fail']),
  /** One sentence for a person. */
  message: z.string(),
  /** The command, or the act, that mends it. */
  remedy: z.string().optional(),
  duration_ms: z.number().nonnegative(),
})
export type CheckResult = z.infer<typeof CheckResult>

export const Diagnosis = z.object({ ok: z.boolean(), checks: z.array(CheckResult) })
export type Diagnosis = z.infer<typeof Diagnosis>

/** A support bundle: a zip file without secrets, and what is in it. */
export const Bundle = z.object({
  name: z.string(),
  data_b64: z.base64(),
  files: z.array(z.object({ name: z.string(), bytes: z.int().nonnegative() })),
})
export type Bundle = z.infer<typeof Bundle>
