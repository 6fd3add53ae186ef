import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import type { Degraded } from '../../core/protocol/index.ts'
import type { AddCommand, Cli } from '../cli.ts'
import { EXIT_CODE } from '../exit-codes.ts'
import { escapeLine } from '../format/escape.ts'
import { ago } from '../format/units.ts'
import { resetLines } from '../format/verdict.ts'
import { UsageError } from '../usage-error.ts'

const WORD = 'recover'

export const recover: AddCommand = (program, cli) => {
  program
    .command('recover')
    .description('leave degraded mode, after a person has looked; asks on a terminal, and is audited')
    .requiredOption('--reason <text>', 'why it is safe to go on, 3 to 500 characters; goes to the audit log')
    .option('--json', 'print the result as one JSON object; asks on the terminal all the same')
    .addHelpText('after', "\nExample:\n  bsm recover --reason 'rootfs restored from the package'")
    .action(async (options: { reason: string; json?: true }) => {
      cli.exitCode = await runRecover(cli, options.reason, options.json ?? false)
    })
}

async function runRecover(cli: Cli, reason: string, json: boolean): Promise<number> {
  if (cli.io.stdin.isTTY !== true)
    throw new UsageError(
      'recover asks a person, and this is not a terminal',
      'run it in a terminal, or use the page',
    )
  if (reason.length < 3 || reason.length > 500) throw new UsageError('the reason has 3 to 500 characters')
  await using control = await cli.control()
  const { degraded } = await control.status()
  if (degraded === null) {
    if (json) cli.json({ recovered: false, message: 'the sandbox is not degraded' })
    else cli.say('the sandbox is not degraded; there is nothing to recover from')
    return EXIT_CODE.ok
  }
  for (const line of whatDiverged(degraded)) cli.remark(line)
  if ((await ask(cli, `Type ${WORD} to accept dispatches again: `)) !== WORD) {
    if (json) cli.json({ recovered: false, message: 'not confirmed' })
    else cli.note('not confirmed; the sandbox stays degraded')
    return EXIT_CODE.finding
  }
  await control.recover(reason)
  if (json) cli.json({ recovered: true })
  else cli.say('recovered; the sandbox takes dispatches again')
  return EXIT_CODE.ok
}

function whatDiverged(degraded: Degraded): string[] {
  return [
    `Degraded since ${ago(degraded.since)}: ${escapeLine(degraded.message)} (${degraded.code})`,
    ...(degraded.sources.length === 0
      ? []
      : [`  what disagreed or was silent: ${degraded.sources.join(', ')}`]),
    ...(degraded.report === null ? [] : resetLines(degraded.report).map((line) => `  ${line}`)),
  ]
}

/** The answer of the person; null when they left (Ctrl-C, Ctrl-D). Asked on stderr: stdout is for the result. */
async function ask(cli: Cli, question: string): Promise<string | null> {
  const output = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      cli.io.stderr.write(chunk)
      done()
    },
  })
  const line = createInterface({ input: cli.io.stdin, output, terminal: false })
  try {
    const left = new Promise<null>((resolve) => line.once('close', () => resolve(null)))
    return await Promise.race([line.question(question), left])
  } finally {
    line.close()
  }
}
