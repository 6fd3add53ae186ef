import { BsmError, EXIT } from '../../core/protocol/index.ts'
import type { AddCommand } from '../cli.ts'
import { EXIT_CODE, exitCodeOf } from '../exit-codes.ts'
import { escapeLine } from '../format/escape.ts'
import { sources, sourcesAgree } from '../format/verdict.ts'

export const verify: AddCommand = (program, cli) => {
  program
    .command('verify')
    .description('read the three sources of the verification again, without a reset')
    .option('--json', 'print the verify response as one JSON object')
    .addHelpText('after', '\nExample:\n  bsm verify')
    .action(async (options: { json?: true }) => {
      await using control = await cli.control()
      const response = await control.verify()
      const agree = sourcesAgree(response)
      if (options.json) cli.json(response)
      else {
        cli.tell(`${agree ? 'verified' : 'NOT VERIFIED'} · ${sources(response)}`)
        if (response.error) cli.tell(`${escapeLine(response.error.message)} (${response.error.code})`)
      }
      if (response.error) cli.exitCode = exitCodeOf(BsmError.fromWire(response.error))
      else cli.exitCode = agree ? EXIT_CODE.ok : EXIT.divergence
    })
}
