import type { AddCommand } from '../cli.ts'
import { EXIT_CODE, exitCodeOf } from '../exit-codes.ts'
import { resetLines } from '../format/verdict.ts'
import { BsmError, EXIT } from '../../core/protocol/index.ts'

export const reset: AddCommand = (program, cli) => {
  program
    .command('reset')
    .description('wipe the sandbox now and print what the verification found')
    .option('--json', 'print the reset response as one JSON object')
    .addHelpText('after', '\nExample:\n  bsm reset')
    .action(async (options: { json?: true }) => {
      await using control = await cli.control()
      const response = await control.reset()
      if (options.json) cli.json(response)
      else for (const line of resetLines(response)) cli.tell(line)
      if (response.error) cli.exitCode = exitCodeOf(BsmError.fromWire(response.error))
      else cli.exitCode = response.verification_passed ? EXIT_CODE.ok : EXIT.divergence
    })
}
