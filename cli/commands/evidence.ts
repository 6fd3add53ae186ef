import { Uuid } from '../../core/protocol/index.ts'
import type { AddCommand } from '../cli.ts'
import { EXIT_CODE } from '../exit-codes.ts'
import { escapeLine } from '../format/escape.ts'
import { UsageError } from '../usage-error.ts'

export const evidence: AddCommand = (program, cli) => {
  program
    .command('evidence')
    .helpCommand(false)
    .description('the evidence chains of the last dispatches')
    // Alone, it says that an id is missing.
    .command('verify', { isDefault: true })
    .description('recompute the stored chain of one dispatch and compare it with what was reported')
    .argument('<command-id>', '`command_id` of the dispatch, from `bsm exec --json` or `bsm status --json`')
    .option('--json', 'print the verdict as one JSON object')
    .addHelpText('after', '\nExample:\n  bsm evidence verify 3f0c8f0e-8a4f-4d3c-9b8e-0d5f8f3c8a11')
    .action(async (commandId: string, options: { json?: true }) => {
      if (!Uuid.safeParse(commandId).success) throw new UsageError('the command id must be a UUID')
      await using control = await cli.control()
      const verdict = await control.verifyEvidence(commandId)
      if (options.json) cli.json(verdict)
      else {
        cli.tell(`${verdict.ok ? 'intact' : 'NOT INTACT'}: ${escapeLine(verdict.message)}`)
        cli.say(`${verdict.chunks} chunks, ${verdict.recomputed ?? 'no hash'}`)
      }
      cli.exitCode = verdict.ok ? EXIT_CODE.ok : EXIT_CODE.finding
    })
}
