import { resolvePaths } from '../../core/index.ts'
import { BsmError } from '../../core/protocol/index.ts'
import { AppNotRunningError, type Control } from '../../client/index.ts'
import type { AddCommand, Cli } from '../cli.ts'
import { EXIT_CODE, exitCodeOf } from '../exit-codes.ts'
import { integer } from '../options.ts'
import { detach, isDetached, reportReady } from '../up/detach.ts'
import { readyJson, readyLine, readyNotes, type Ready } from '../up/ready.ts'
import { runApp, type UpOptions } from '../up/run-app.ts'
import { UsageError } from '../usage-error.ts'

type Options = UpOptions & { detach?: true; json?: true }

export const up: AddCommand = (program, cli) => {
  program
    .command('up')
    .description('run the app in the foreground: boot the VM, serve the page, stay until Ctrl-C')
    .option('--no-ui', 'serve no page, only the sockets')
    .option('--port <n>', 'port of the page on 127.0.0.1; any free one unless given', integer(1, 65_535))
    .option('--image <name|dir>', 'guest image: a recipe, or the folder of an image')
    .option('--cpus <n>', 'CPUs of the VM', integer(1, 64))
    .option('--memory-mib <n>', 'memory of the VM in MiB', integer(128, 65_536))
    .option('--helper <qemu|vz|path>', "the program that owns the VM; the platform's own unless given")
    .option('--keep', 'stay, with the page and its error, when the VM cannot start')
    .option('--detach', 'run in the background, and return when it is ready')
    .option('--json', 'print the ready line as one JSON object')
    .addHelpText(
      'after',
      `
The first Ctrl-C stops in order, the second at once. A second \`bsm up\` finds the
running app and prints a fresh address; options that count when the app starts
need \`bsm down\` first.

Examples:
  bsm up
  bsm up --detach --json
  bsm up --image python --memory-mib 1024`,
    )
    .action(async (options: Options) => {
      cli.exitCode = await runUp(cli, options)
    })
}

async function runUp(cli: Cli, options: Options): Promise<number> {
  const running = await runningApp(cli)
  if (running !== null) return joinRunning(cli, running, options)
  if (isDetached(cli.io.env)) return runApp(cli, options, reportReady)
  if (options.detach) return inBackground(cli, options)
  return runApp(cli, options, (ready) => announce(cli, ready, options))
}

async function runningApp(cli: Cli): Promise<Control | null> {
  try {
    return await cli.control()
  } catch (error) {
    if (error instanceof AppNotRunningError) return null
    throw error
  }
}

/** Says that it runs already, starts its VM when that is stopped, and prints a fresh address. */
async function joinRunning(cli: Cli, running: Control, options: Options): Promise<number> {
  await using control = running
  refuseOptionsOfTheStart(options)
  cli.note('the app is running already')
  const { state } = await control.status()
  let failed: BsmError | null = null
  if (state === 'stopped' || state === 'failed' || state === 'starting') {
    cli.note('waiting for its VM')
    await control.up().catch((error: unknown) => (failed = BsmError.from(error, 'app')))
  }
  // Its page shows what is wrong; so do the notes beside the address.
  await announceRunning(cli, control, options)
  return failed === null ? EXIT_CODE.ok : exitCodeOf(failed)
}

/** What is decided when the app starts cannot be asked of one that runs. */
function refuseOptionsOfTheStart({ ui, port, image, cpus, memoryMib, helper }: Options): void {
  const given = Object.entries({
    '--no-ui': ui ? undefined : true,
    '--port': port,
    '--image': image,
    '--cpus': cpus,
    '--memory-mib': memoryMib,
    '--helper': helper,
  }).flatMap(([name, value]) => (value === undefined ? [] : [name]))
  if (given.length > 0)
    throw new UsageError(
      `the app is running already, and ${given.join(' and ')} counts only when it starts`,
      'stop it with `bsm down`, then give the same command again',
    )
}

async function inBackground(cli: Cli, options: Options): Promise<number> {
  const code = await detach(resolvePaths(cli.io.env).logsDir, cli.io)
  if (code !== EXIT_CODE.ok) return code
  await using control = await cli.control()
  await announceRunning(cli, control, options)
  return EXIT_CODE.ok
}

async function announceRunning(cli: Cli, control: Control, options: Options): Promise<void> {
  // An app without a page has no address to give.
  const url = await control.open().catch(() => null)
  const { agentSocket } = resolvePaths(cli.io.env)
  announce(cli, { url, agent_socket: agentSocket, snapshot: await control.status() }, options)
}

function announce(cli: Cli, ready: Ready, options: Options): void {
  for (const note of readyNotes(ready.snapshot)) cli.note(note)
  if (options.json) cli.json(readyJson(ready))
  else cli.say(readyLine(ready))
}
