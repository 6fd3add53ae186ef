import { homedir } from 'node:os'
import { join } from 'node:path'

const APP = 'brainstorm-sandbox'

/** A variable of the environment; one set to nothing is not set, as in the shell's `:-`. */
const env = (name: string): string | undefined => process.env[name] || undefined

export const defaultStateDir = (): string =>
  env('BSM_STATE_DIR') ?? join(env('XDG_STATE_HOME') ?? join(homedir(), '.local/state'), APP)

export const configDir = (): string =>
  env('BSM_CONFIG_DIR') ?? join(env('XDG_CONFIG_HOME') ?? join(homedir(), '.config'), APP)

export const manifestKeyPath = (): string => join(configDir(), 'manifest.key')

/** `${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}/bsm-UID}/bsm-vz-helper.sock` (§1). */
export function defaultSocketPath(): string {
  const uid = process.getuid?.() ?? 0
  const directory = env('XDG_RUNTIME_DIR') ?? join(env('TMPDIR') ?? '/tmp', `bsm-${uid}`)
  return join(directory, 'bsm-vz-helper.sock')
}
