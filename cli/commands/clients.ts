import { removeToken, resolvePaths, saveToken } from '../../core/index.ts'
import type { ClientInfo } from '../../core/protocol/index.ts'
import { CLIENT_NAME } from '../client-name.ts'
import type { Control } from '../../client/index.ts'
import type { AddCommand, Cli } from '../cli.ts'
import { escapeLine } from '../format/escape.ts'
import { table } from '../format/table.ts'
import { ago } from '../format/units.ts'
import { UsageError } from '../usage-error.ts'

export const clients: AddCommand = (program, cli) => {
  const group = program
    .command('clients')
    .helpCommand(false)
    .description('the agents that may use the sandbox, one token each')
  group
    .command('list', { isDefault: true })
    .description('print who has a token')
    .option('--json', 'print them as one JSON object')
    .addHelpText('after', '\nExample:\n  bsm clients list')
    .action(async (options: { json?: true }) => {
      await using control = await cli.control()
      const list = await control.clients()
      if (options.json) return cli.json({ clients: list })
      if (list.length === 0) cli.say('no clients yet; `bsm clients add NAME` makes a token')
      else for (const line of table([['name', 'added', 'last seen'], ...list.map(row)])) cli.say(line)
    })
  group
    .command('add')
    .description('make a token for a client; it is printed once and cannot be shown again')
    .argument('<name>', 'letters, digits, dot, dash and underscore; at most 64')
    .option('--save', 'keep it in a file that only you can read, for `bsm mcp`, instead of printing it')
    .option('--json', 'print name and token, or where it is kept, as one JSON object')
    .addHelpText(
      'after',
      '\nExamples:\n  BSM_TOKEN=$(bsm clients add my-agent)\n  bsm clients add claude-code --save',
    )
    .action(async (name: string, options: { save?: true; json?: true }) => {
      if (!CLIENT_NAME.test(name))
        throw new UsageError('a name has letters, digits, dot, dash and underscore; at most 64')
      await using control = await cli.control()
      const token = await control.addClient(name)
      if (options.save) {
        const file = await keep(cli, control, name, token)
        if (options.json) cli.json({ name, token_file: file })
        else cli.say(`${name} may use the sandbox; its token is kept in ${file}`)
        return
      }
      if (options.json) return cli.json({ name, token })
      cli.say(token)
      cli.note(`token of ${name}: keep it now, it is not shown again`)
    })
  group
    .command('revoke')
    .description("end a client's token, and whatever it has running")
    .argument('<name>', 'as in `bsm clients list`')
    .option('--json', 'print who is left as one JSON object')
    .addHelpText('after', '\nExample:\n  bsm clients revoke my-agent')
    .action(async (name: string, options: { json?: true }) => {
      await using control = await cli.control()
      const left = await control.revokeClient(name)
      if (CLIENT_NAME.test(name)) removeToken(resolvePaths(cli.io.env), name)
      if (options.json) cli.json({ clients: left })
      else cli.say(`${escapeLine(name)} is revoked`)
    })
}

/** A token that could not be kept is of use to nobody: it is taken back. */
async function keep(cli: Cli, control: Control, name: string, token: string): Promise<string> {
  try {
    return saveToken(resolvePaths(cli.io.env), name, token)
  } catch (error) {
    await control.revokeClient(name)
    throw error
  }
}

const row = (client: ClientInfo): string[] => [
  escapeLine(client.name),
  ago(client.created_at),
  client.last_seen === null ? 'never' : ago(client.last_seen),
]
