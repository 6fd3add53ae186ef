import type { AddCommand } from '../cli.ts'
import { CHECKS, runChecks, thisMachine, type Result } from '../doctor/index.ts'
import { EXIT_CODE } from '../exit-codes.ts'
import { escapeLine } from '../format/escape.ts'
import { table } from '../format/table.ts'

const SIGN = { ok: '✓', warn: '!', fail: '✗' } as const

export const doctor: AddCommand = (program, cli) => {
  program
    .command('doctor')
    .description('check this machine and the app, and say what mends what is missing')
    .option('--json', 'print the findings as one JSON object')
    .addHelpText(
      'after',
      '\nEnds with 1 when a check fails; warnings do not count.\n\nExample:\n  bsm doctor',
    )
    .action(async (options: { json?: true }) => {
      const results = await runChecks(CHECKS, thisMachine(cli.io.env))
      const ok = results.every((result) => result.status !== 'fail')
      if (options.json) cli.json({ ok, checks: results })
      else for (const line of table(results.flatMap(rows))) cli.say(line)
      cli.exitCode = ok ? EXIT_CODE.ok : EXIT_CODE.finding
    })
}

function rows({ status, title, message, remedy }: Result): string[][] {
  const finding = [SIGN[status], title, escapeLine(message)]
  return remedy === undefined ? [finding] : [finding, ['', '', `→ ${escapeLine(remedy)}`]]
}
