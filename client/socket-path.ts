import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'

/**
 * Where the app of this user listens for agents: `$BSM_STATE_DIR/agent.sock`, or the same file in the
 * platform's state directory (protocol §5).
 */
export function defaultAgentSocket(
  env: NodeJS.ProcessEnv = process.env,
  platform = process.platform,
): string {
  return join(stateDir(env, platform), 'agent.sock')
}

function stateDir(env: NodeJS.ProcessEnv, platform: NodeJS.Platform): string {
  if (env.BSM_STATE_DIR) return env.BSM_STATE_DIR
  const home = env.HOME ?? homedir()
  if (platform === 'darwin') return join(home, 'Library', 'Application Support', 'Brainstorm Sandbox')
  // A relative XDG path is to be ignored (XDG Base Directory Specification).
  const xdg =
    env.XDG_STATE_HOME !== undefined && isAbsolute(env.XDG_STATE_HOME) ? env.XDG_STATE_HOME : undefined
  return join(xdg ?? join(home, '.local', 'state'), 'brainstorm-sandbox')
}
