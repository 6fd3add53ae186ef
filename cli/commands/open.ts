import { resolvePaths } from '../../core/index.ts'
import { hasDisplay, openBrowser } from '../browser.ts'
import type { AddCommand } from '../cli.ts'

export const open: AddCommand = (program, cli) => {
  program
    .command('open')
    .description('print a fresh address of the page, and open it where there is a display')
    .option('--no-browser', 'print it only')
    .option('--json', 'print the address as one JSON object; opens nothing')
    .addHelpText('after', '\nThe address works once, within 60 seconds.\n\nExample:\n  bsm open')
    .action(async (options: { json?: true; browser: boolean }) => {
      await using control = await cli.control()
      const url = await control.open()
      if (options.json) return cli.json({ url })
      cli.say(url)
      if (!options.browser || !hasDisplay(cli.io.env)) return
      if (!(await openBrowser(url, resolvePaths(cli.io.env).stateDir)))
        cli.note('no program here opens addresses; paste it into a browser within 60 seconds')
    })
}
