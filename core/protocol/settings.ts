import * as z from 'zod'
import { Digest } from './common.ts'

const TargetMs = z.int().min(10).max(600_000)

export const Settings = z.object({
  cpus: z.int().min(1).max(64),
  memory_mib: z.int().min(128).max(65_536),
  /** Recipe name under the image directory, e.g. `base`. */
  image: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/),
  /** Medians, in milliseconds, that resets are drawn against (§1); they change nothing but the drawing. */
  reset_target_fast_ms: TargetMs,
  reset_target_cold_ms: TargetMs,
})
export type Settings = z.infer<typeof Settings>
export const SettingsPatch = Settings.partial()
export type SettingsPatch = z.infer<typeof SettingsPatch>

/** Settings, and what a person must know to choose them. */
export const SettingsView = z.object({
  settings: Settings,
  /** What stands where a person set nothing. */
  defaults: Settings,
  /** The running VM was booted with other ones. */
  restart_needed: z.boolean(),
  images: z.array(z.object({ recipe: z.string(), image_version: z.string(), image_digest: Digest })),
  host: z.object({ cpus: z.int().positive(), memory_mib: z.int().positive() }),
})
export type SettingsView = z.infer<typeof SettingsView>
