import { chmodSync, lstatSync, mkdirSync, realpathSync } from 'node:fs'
import { homedir } from 'node:os'
import { isAbsolute, join, relative } from 'node:path'
import { fileError } from './files.ts'
import { BsmError } from './protocol/index.ts'

/** Everything that the app keeps, by name (architecture: "Where data lives"). */
export interface Paths {
  readonly stateDir: string
  readonly configDir: string
  readonly lock: string
  readonly helperIdentity: string
  readonly agentSocket: string
  readonly controlSocket: string
  readonly controlToken: string
  readonly clients: string
  readonly settings: string
  readonly degraded: string
  readonly auditLog: string
  readonly evidenceDir: string
  readonly logsDir: string
  readonly auditKey: string
  readonly manifestKey: string
  /** Tokens kept for programs of this user. */
  readonly tokensDir: string
}

type Environment = Readonly<Record<string, string | undefined>>

export function stateDirOf(env: Environment, platform: NodeJS.Platform): string {
  const home = env.HOME ?? homedir()
  if (env.BSM_STATE_DIR) return absolute('BSM_STATE_DIR', env.BSM_STATE_DIR)
  if (platform === 'darwin') return join(home, 'Library', 'Application Support', 'Brainstorm Sandbox')
  return join(xdg(env.XDG_STATE_HOME) ?? join(home, '.local', 'state'), 'brainstorm-sandbox')
}

export function configDirOf(env: Environment): string {
  const home = env.HOME ?? homedir()
  if (env.BSM_CONFIG_DIR) return absolute('BSM_CONFIG_DIR', env.BSM_CONFIG_DIR)
  return join(xdg(env.XDG_CONFIG_HOME) ?? join(home, '.config'), 'brainstorm-sandbox')
}

export function resolvePaths(
  env: Environment = process.env,
  platform: NodeJS.Platform = process.platform,
): Paths {
  return pathsIn(stateDirOf(env, platform), configDirOf(env))
}

export function pathsIn(stateDir: string, configDir: string): Paths {
  return {
    stateDir,
    configDir,
    lock: join(stateDir, 'app.lock'),
    // Not helper.json: that is the helper's own claim on the directory.
    helperIdentity: join(stateDir, 'supervised-helper.json'),
    agentSocket: join(stateDir, 'agent.sock'),
    controlSocket: join(stateDir, 'control.sock'),
    controlToken: join(stateDir, 'control.token'),
    clients: join(stateDir, 'clients.json'),
    settings: join(stateDir, 'settings.json'),
    degraded: join(stateDir, 'degraded.json'),
    auditLog: join(stateDir, 'audit.jsonl'),
    evidenceDir: join(stateDir, 'evidence'),
    logsDir: join(stateDir, 'logs'),
    auditKey: join(configDir, 'audit.key'),
    manifestKey: join(configDir, 'manifest.key'),
    tokensDir: join(configDir, 'tokens'),
  }
}

/**
 * Makes the directories, 0700 and ours. Keys must not lie where the data lies that they protect, so a
 * configuration directory inside the state directory is refused.
 */
export function ensurePaths(paths: Paths): void {
  ensurePrivateDir(paths.stateDir)
  ensurePrivateDir(paths.configDir)
  const within = relative(realpathSync(paths.stateDir), realpathSync(paths.configDir))
  if (within === '' || (!within.startsWith('..') && !isAbsolute(within)))
    throw refused(paths.configDir, 'it lies inside the state directory, beside the data its keys protect')
  ensurePrivateDir(paths.evidenceDir)
  ensurePrivateDir(paths.logsDir)
}

/**
 * Makes `directory` when it is missing, and takes group's and others' rights away. A link, a file, or a
 * directory of another user is refused: whoever owns it could swap what lies in it.
 */
export function ensurePrivateDir(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const stat = lstatSync(directory)
    if (stat.isSymbolicLink()) throw refused(directory, 'it is a symbolic link')
    if (!stat.isDirectory()) throw refused(directory, 'it is not a directory')
    if (process.getuid !== undefined && stat.uid !== process.getuid())
      throw refused(directory, 'it belongs to another user')
    if ((stat.mode & 0o077) !== 0) chmodSync(directory, 0o700)
  } catch (error) {
    throw fileError(error, `use the directory ${directory}`)
  }
}

const refused = (path: string, why: string): BsmError =>
  new BsmError('BOOT_CONFIG_INVALID', 'app', `${path} cannot be used: ${why}.`, {
    nextStep: 'Move it away, or point BSM_STATE_DIR and BSM_CONFIG_DIR elsewhere.',
  })

/** A relative XDG path is to be ignored (XDG Base Directory Specification). */
const xdg = (value: string | undefined): string | undefined =>
  value !== undefined && isAbsolute(value) ? value : undefined

function absolute(name: string, value: string): string {
  if (isAbsolute(value)) return value
  throw new BsmError('BOOT_CONFIG_INVALID', 'app', `${name} is not an absolute path: ${value}`, {
    nextStep: `Set ${name} to a path that begins with a slash.`,
  })
}
