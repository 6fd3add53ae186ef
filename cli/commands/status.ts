import type { AddCommand } from '../cli.ts'
import { statusLines } from '../format/status.ts'
import { columnsOf } from '../format/wrap.ts'

export const status: AddCommand = (program, cli) => {
  program
    .command('status')
    .description('print the state of app, VM, channels, last reset and last dispatches')
    .option('--json', 'print the snapshot that the page shows as one JSON object')
    .addHelpText('after', '\nExamples:\n  bsm status\n  bsm status --json | jq .helper.last_reset')
    .action(async (options: { json?: true }) => {
      await using control = await cli.control()
      const snapshot = await control.status()
      if (options.json) cli.json(snapshot)
      else for (const line of statusLines(snapshot, columnsOf(cli.io.stdout))) cli.tell(line)
    })
}
