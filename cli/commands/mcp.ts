import { Option } from 'commander'
import { readToken, resolvePaths } from '../../core/index.ts'
import { bsmCommand, shellWords } from '../bsm-command.ts'
import { clientConfig, CONFIG_CLIENTS } from '../client-config.ts'
import { CLIENT_NAME } from '../client-name.ts'
import type { AddCommand, Cli } from '../cli.ts'
import { escapeLine } from '../format/escape.ts'
import { onInterrupt } from '../interrupt.ts'
import { UsageError } from '../usage-error.ts'

type Options = {
  client?: string
  start?: true
  printConfig?: (typeof CONFIG_CLIENTS)[number]
  json?: true
}

const DEFAULT_CLIENT = 'mcp'

export const mcp: AddCommand = (program, cli) => {
  program
    .command('mcp')
    .description('serve the sandbox to an MCP client on standard input and output')
    .option('--client <name>', 'the client whose token is used; $BSM_CLIENT unless given, else mcp')
    .option('--start', 'start the app in the background when none runs')
    .addOption(
      new Option('--print-config <client>', 'print what makes that client start this server').choices(
        CONFIG_CLIENTS,
      ),
    )
    .option('--json', 'with --print-config: print it, its file and where the token lies as one JSON object')
    .addHelpText(
      'after',
      `
The token is $BSM_TOKEN, or the one that \`bsm clients add NAME --save\` keeps in a
file only you can read; it stands on no command line and in no client's
configuration. Logs go to standard error.

Examples:
  bsm clients add claude-code --save
  bsm mcp --print-config claude-code`,
    )
    .action(async (options: Options) => {
      const name = options.client ?? options.printConfig ?? (cli.io.env.BSM_CLIENT || DEFAULT_CLIENT)
      if (!CLIENT_NAME.test(name))
        throw new UsageError('--client takes the name of a client, as `bsm clients list` shows it')
      if (options.printConfig !== undefined) return printConfig(cli, name, options.printConfig, options)
      if (options.json) throw new UsageError('--json goes with --print-config; the server speaks MCP')
      await serve(cli, name, options.start ?? false)
    })
}

function printConfig(
  cli: Cli,
  client: string,
  of: NonNullable<Options['printConfig']>,
  options: Options,
): void {
  const { env } = cli.io
  const config = clientConfig(of, { env, client, start: options.start ?? false })
  const tokenKept = readToken(resolvePaths(env), client) !== null
  if (options.json) return cli.json({ client, ...config, token_kept: tokenKept })
  cli.say(config.text)
  cli.note(`goes into ${config.file}`)
  if (config.command !== null) cli.note(`or run: ${config.command}`)
  if (!tokenKept) cli.note(`next: ${shellWords(bsmCommand(['clients', 'add', client, '--save']))}`)
}

async function serve(cli: Cli, client: string, start: boolean): Promise<void> {
  if (process.stdin.isTTY)
    cli.note('an MCP client speaks here, not a person: see --print-config, or end with Ctrl-D')
  const leave = new AbortController()
  using _ = onInterrupt(() => leave.abort())
  // Only then: the SDK takes longer to load than the other commands take to run.
  const { serveMcp } = await import('../mcp/index.ts')
  await serveMcp(
    process,
    { env: cli.io.env, client, start, log: (line) => cli.note(`bsm mcp: ${escapeLine(line)}`) },
    leave.signal,
  )
}
