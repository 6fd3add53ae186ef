import type { Context } from './context.ts'

/**
 * What a check needs: nothing but the binary, the VM shared by all such checks, or one of its own,
 * because it ends, breaks or confuses it.
 */
export type Needs = 'none' | 'vm' | 'own-vm'

export type Check = {
  /** Stable, for `--only`. */
  id: string
  /** Section of the wire protocol that the check holds the helper to. */
  section: `§${number}`
  /** A sentence about behaviour. */
  title: string
  needs: Needs
  /** Only for a helper of this backend. */
  backend?: 'qemu' | 'vz'
  /** Milliseconds; {@link DEFAULT_DEADLINE_MS} without. */
  deadlineMs?: number
  run: (context: Context) => Promise<void>
}

export const DEFAULT_DEADLINE_MS = 90_000

type Rest = Partial<Pick<Check, 'backend' | 'deadlineMs'>>

/** Checks of one section and need, with ids that share a prefix. */
export function group(prefix: string, section: Check['section'], needs: Needs) {
  return (id: string, title: string, run: Check['run'], rest: Rest = {}): Check => ({
    id: `${prefix}.${id}`,
    section,
    title,
    needs,
    run,
    ...rest,
  })
}
