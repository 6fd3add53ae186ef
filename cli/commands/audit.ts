import type { AddCommand } from '../cli.ts'
import { EXIT_CODE } from '../exit-codes.ts'
import { escapeLine } from '../format/escape.ts'

export const audit: AddCommand = (program, cli) => {
  program
    .command('audit')
    .helpCommand(false)
    .description('the audit log')
    .command('verify', { isDefault: true })
    .description('check the hash chain of the audit log, and that no tail is missing')
    .option('--json', 'print the verdict as one JSON object')
    .addHelpText('after', '\nExample:\n  bsm audit verify')
    .action(async (options: { json?: true }) => {
      await using control = await cli.control()
      const verdict = await control.verifyAudit()
      if (options.json) cli.json(verdict)
      else {
        cli.tell(`${verdict.ok ? 'intact' : 'NOT INTACT'}: ${escapeLine(verdict.message)}`)
        cli.say(`${verdict.entries} entries, head ${verdict.head ?? 'none'}`)
      }
      cli.exitCode = verdict.ok ? EXIT_CODE.ok : EXIT_CODE.finding
    })
}
