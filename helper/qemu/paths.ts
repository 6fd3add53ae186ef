import { lstatSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { isErrno } from './evidence/chain-file.ts'
import { notPrivate } from './private-files.ts'

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

/**
 * Why nothing may be said to, or bound at, a socket path, in one sentence; null when its directory is ours
 * alone and it is free or a socket of ours (§1). Below a shared `/tmp` another user may have been first.
 */
export function distrustOfSocket(path: string): string | null {
  try {
    const reason = notPrivate(dirname(path))
    if (reason !== null) return reason
    const facts = lstatSync(path)
    if (!facts.isSocket()) return `${path} exists and is no socket.`
    return facts.uid === (process.getuid?.() ?? 0) ? null : `${path} belongs to another user.`
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null
    throw error
  }
}
