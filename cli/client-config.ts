import { homedir } from 'node:os'
import { join } from 'node:path'
import { bsmCommand, shellWords } from './bsm-command.ts'

/** What a client's configuration needs to start `bsm mcp`: absolute paths, and no secret. */

export const CONFIG_CLIENTS = [
  'claude-desktop',
  'claude-code',
  'cursor',
  'vscode',
  'codex',
  'gemini',
  'windsurf',
] as const
type ConfigClient = (typeof CONFIG_CLIENTS)[number]

export type ClientConfig = {
  format: 'json' | 'toml'
  /** Where it belongs. */
  file: string
  text: string
  /** A command of the client's own that does the same, where it has one. */
  command: string | null
}

const NAME = 'brainstorm-sandbox'
/** Codex waits 60 s unless told otherwise: less than a dispatch with its queue and its wipe may take. */
const CODEX_TIMEOUT_S = 900
/** What decides which app is talked to, and stands in few clients' environments. */
const PASSED_ON = ['BSM_STATE_DIR', 'BSM_CONFIG_DIR', 'XDG_STATE_HOME', 'XDG_CONFIG_HOME']

type Options = { env: NodeJS.ProcessEnv; client: string; start: boolean; platform?: NodeJS.Platform }

/** The configuration of `of`, whose server comes in as `client`. */
export function clientConfig(of: ConfigClient, options: Options): ClientConfig {
  const { env, client, start, platform = process.platform } = options
  const [command = '', ...args] = bsmCommand(['mcp', '--client', client, ...(start ? ['--start'] : [])])
  const passed = Object.fromEntries(
    PASSED_ON.flatMap((name) => (env[name] ? [[name, env[name]] as const] : [])),
  )
  const server = { command, args, ...(Object.keys(passed).length === 0 ? {} : { env: passed }) }
  const home = env.HOME ?? homedir()
  const json = (key: string, value: object, file: string, own: string | null = null): ClientConfig => ({
    format: 'json',
    file,
    text: JSON.stringify({ [key]: { [NAME]: value } }, null, 2),
    command: own,
  })
  switch (of) {
    case 'claude-desktop':
      return json('mcpServers', server, claudeDesktopFile(home, platform))
    case 'claude-code': {
      const envArgs = Object.entries(passed).flatMap(([name, value]) => ['--env', `${name}=${value}`])
      const add = ['claude', 'mcp', 'add', '--scope', 'user', NAME, ...envArgs, '--', command, ...args]
      return json('mcpServers', { type: 'stdio', ...server }, '.mcp.json of a project', shellWords(add))
    }
    case 'cursor':
      return json('mcpServers', server, join(home, '.cursor', 'mcp.json'))
    case 'vscode': {
      const value = { type: 'stdio', ...server }
      const own = shellWords(['code', '--add-mcp', JSON.stringify({ name: NAME, ...value })])
      return json('servers', value, '.vscode/mcp.json of a workspace', own)
    }
    case 'codex':
      return { format: 'toml', file: join(home, '.codex', 'config.toml'), text: toml(server), command: null }
    case 'gemini':
      return json('mcpServers', server, join(home, '.gemini', 'settings.json'))
    case 'windsurf':
      return json('mcpServers', server, join(home, '.codeium', 'windsurf', 'mcp_config.json'))
  }
}

function claudeDesktopFile(home: string, platform: NodeJS.Platform): string {
  const folder = platform === 'darwin' ? ['Library', 'Application Support', 'Claude'] : ['.config', 'Claude']
  return join(home, ...folder, 'claude_desktop_config.json')
}

/** A JSON string is a TOML basic string. */
function toml({
  command,
  args,
  env,
}: {
  command: string
  args: string[]
  env?: Record<string, string>
}): string {
  return [
    `[mcp_servers.${NAME}]`,
    `command = ${JSON.stringify(command)}`,
    `args = [${args.map((arg) => JSON.stringify(arg)).join(', ')}]`,
    `tool_timeout_sec = ${CODEX_TIMEOUT_S}`,
    ...(env === undefined
      ? []
      : [
          '',
          `[mcp_servers.${NAME}.env]`,
          ...Object.entries(env).map(([name, value]) => `${name} = ${JSON.stringify(value)}`),
        ]),
  ].join('\n')
}
