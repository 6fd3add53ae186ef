import { Command, CommanderError } from 'commander'
import { Cli, type AddCommand } from './cli.ts'
import { audit } from './commands/audit.ts'
import { clients } from './commands/clients.ts'
import { doctor } from './commands/doctor.ts'
import { down } from './commands/down.ts'
import { evidence } from './commands/evidence.ts'
import { exec } from './commands/exec.ts'
import { mcp } from './commands/mcp.ts'
import { open } from './commands/open.ts'
import { recover } from './commands/recover.ts'
import { reset } from './commands/reset.ts'
import { status } from './commands/status.ts'
import { up } from './commands/up.ts'
import { verify } from './commands/verify.ts'
import { EXIT_CODE, EXIT_CODE_HELP } from './exit-codes.ts'
import type { Io } from './io.ts'
import { version } from './project-root.ts'
import { reportError } from './report-error.ts'
import { UsageError } from './usage-error.ts'

const COMMANDS: readonly AddCommand[] = [
  up,
  status,
  exec,
  reset,
  verify,
  recover,
  clients,
  mcp,
  open,
  doctor,
  audit,
  evidence,
  down,
]

/** Runs one command line (without `node` and the program's name) and returns its exit code. */
export async function runCli(args: readonly string[], io: Io): Promise<number> {
  const cli = new Cli(io)
  const program = new Command('bsm')
    .description('A Linux microVM for the tools of AI agents: wiped after every dispatch, with proof.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      // Reported below, once.
      outputError: () => undefined,
    })
    .addHelpText('after', EXIT_CODE_HELP)
  for (const add of COMMANDS) add(program, cli)
  try {
    await program.parseAsync([...args], { from: 'user' })
    return cli.exitCode
  } catch (error) {
    const help = `see \`bsm ${commandOf(program, args)}--help\``
    if (error instanceof UsageError)
      return reportError(new UsageError(error.message, error.nextStep ?? help), io, wantsJson(args))
    if (!(error instanceof CommanderError)) return reportError(error, io, wantsJson(args))
    if (error.exitCode === 0) return EXIT_CODE.ok
    // A program called without a command has printed its help, which says it all.
    if (error.code === 'commander.help') return EXIT_CODE.usage
    const message = error.message.replace(/^error: /, '').replaceAll('\n', ' ')
    return reportError(new UsageError(message, help), io, wantsJson(args))
  }
}

const wantsJson = (args: readonly string[]): boolean => {
  const end = args.indexOf('--')
  return args.slice(0, end === -1 ? undefined : end).includes('--json')
}

/** The command that was meant, for the way to its help; empty when there is none of that name. */
function commandOf(program: Command, args: readonly string[]): string {
  const first = args.find((arg) => !arg.startsWith('-'))
  return program.commands.some((command) => command.name() === first) ? `${first} ` : ''
}
