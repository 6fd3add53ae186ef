import { readFile } from 'node:fs/promises'
import { BsmError } from '../core/protocol/index.ts'
import { resolvePaths } from '../core/index.ts'
import { AppNotRunningError, Control } from '../client/index.ts'

/** Connects to the running app of this user. Throws `AppNotRunningError` when there is none. */
export async function connectControl(env: NodeJS.ProcessEnv): Promise<Control> {
  const paths = resolvePaths(env)
  const token = (await readToken(paths.controlToken)).trim()
  return Control.connect({ socketPath: paths.controlSocket, token, client: 'cli' })
}

async function readToken(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT')
      throw new AppNotRunningError(cause)
    throw new BsmError('UNAUTHORIZED', 'app', `${path} cannot be read`, {
      nextStep: 'run as the user who started the app',
      cause,
    })
  }
}
