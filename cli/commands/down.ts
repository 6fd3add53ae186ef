import { setTimeout as sleep } from 'node:timers/promises'
import { BsmError } from '../../core/protocol/index.ts'
import { AppNotRunningError, ConnectionLostError, type Control } from '../../client/index.ts'
import type { AddCommand, Cli } from '../cli.ts'
import { duration } from '../format/units.ts'

const GONE_WITHIN_MS = 30_000
const LOOK_EVERY_MS = 50

export const down: AddCommand = (program, cli) => {
  program
    .command('down')
    .description('stop the VM and the app')
    .option('--vm-only', 'stop the VM and leave the app running; `bsm up` starts it again')
    .option('--json', 'print the result as one JSON object')
    .addHelpText('after', '\nExample:\n  bsm down')
    .action(async (options: { vmOnly?: true; json?: true }) => {
      const began = performance.now()
      const quit = options.vmOnly !== true
      {
        await using control = await cli.control()
        await stop(control, quit)
      }
      if (quit) await gone(cli)
      const ms = performance.now() - began
      if (options.json) cli.json({ ok: true, app: quit ? 'stopped' : 'running', duration_ms: Math.round(ms) })
      else cli.say(`${quit ? 'VM and app are' : 'the VM is'} stopped (${duration(ms)})`)
    })
}

/** An app that is gone before it could answer has done what it was asked. */
async function stop(control: Control, quit: boolean): Promise<void> {
  try {
    await control.down(quit)
  } catch (error) {
    if (!(quit && error instanceof ConnectionLostError)) throw error
  }
}

/** The answer comes before the end: wait until nobody listens any more. */
async function gone(cli: Cli): Promise<void> {
  const until = performance.now() + GONE_WITHIN_MS
  while (performance.now() < until) {
    try {
      await using _ = await cli.control()
    } catch (error) {
      if (error instanceof AppNotRunningError) return
    }
    await sleep(LOOK_EVERY_MS)
  }
  throw new BsmError(
    'TIMEOUT',
    'app',
    `the app still listens ${duration(GONE_WITHIN_MS)} after it was told to stop`,
    {
      nextStep: 'see `bsm status`; end its process if it does not answer',
    },
  )
}
