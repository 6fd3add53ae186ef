import { homedir } from 'node:os'
import { join } from 'node:path'

const APP = 'brainstorm-sandbox'

export const defaultStateDir = (): string =>
  process.env['BSM_STATE_DIR'] ?? join(process.env['XDG_STATE_HOME'] ?? join(homedir(), '.local/state'), APP)

export const configDir = (): string =>
  process.env['BSM_CONFIG_DIR'] ?? join(process.env['XDG_CONFIG_HOME'] ?? join(homedir(), '.config'), APP)

export const manifestKeyPath = (): string => join(configDir(), 'manifest.key')

/** `${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}/bsm-UID}/bsm-vz-helper.sock` (§1). */
export function defaultSocketPath(): string {
  const uid = process.getuid?.() ?? 0
  const directory = process.env['XDG_RUNTIME_DIR'] ?? join(process.env['TMPDIR'] ?? '/tmp', `bsm-${uid}`)
  return join(directory, 'bsm-vz-helper.sock')
}
