import { join } from 'node:path'
import { fileError, readSmallFile, removeFile, replaceFile } from './files.ts'
import { ensurePrivateDir, type Paths } from './paths.ts'

/**
 * Tokens that a person had kept for programs of this user (`bsm clients add NAME --save`): one 0600 file a client in
 * the configuration directory, so that no token stands on a command line or in another program's configuration.
 */

const MAX_BYTES = 1024

/** The suffix keeps a client named `..` inside the directory. */
const pathOf = (paths: Paths, client: string): string => join(paths.tokensDir, `${client}.token`)

/** Returns where it was kept. */
export function saveToken(paths: Paths, client: string, token: string): string {
  const path = pathOf(paths, client)
  try {
    ensurePrivateDir(paths.configDir)
    ensurePrivateDir(paths.tokensDir)
    replaceFile(path, `${token}\n`)
  } catch (error) {
    throw fileError(error, `write ${path}`)
  }
  return path
}

/** Null when none was kept. */
export function readToken(paths: Paths, client: string): string | null {
  const path = pathOf(paths, client)
  try {
    return readSmallFile(path, MAX_BYTES)?.trim() ?? null
  } catch (error) {
    throw fileError(error, `read ${path}`)
  }
}

export function removeToken(paths: Paths, client: string): void {
  const path = pathOf(paths, client)
  try {
    removeFile(path)
  } catch (error) {
    throw fileError(error, `remove ${path}`)
  }
}
