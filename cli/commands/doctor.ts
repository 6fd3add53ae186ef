import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { AddCommand } from '../cli.ts'
import { connectControl } from '../connect.ts'
import { EXIT_CODE } from '../exit-codes.ts'
import { escapeLine } from '../format/escape.ts'
import { table } from '../format/table.ts'
import { columnsOf } from '../format/wrap.ts'
import { bytes, diagnose, locateHelper, makeBundle, resolvePaths, thisMachine } from '../../core/index.ts'
import type { CheckResult } from '../../core/protocol/index.ts'
import { projectRoot } from '../project-root.ts'
import { locateImage } from '../up/locate-image.ts'
import { UsageError } from '../usage-error.ts'

const SIGN = { ok: '✓', warn: '!', fail: '✗' } as const
const STATUS_WITHIN_MS = 5_000

export const doctor: AddCommand = (program, cli) => {
  program
    .command('doctor')
    .description('check this machine and the app, and say what mends what is missing')
    .option('--bundle <file>', 'write findings, logs and settings, without secrets, to a new zip file')
    .option('--json', 'print the findings as one JSON object')
    .addHelpText(
      'after',
      `
Ends with 1 when a check fails; warnings do not count. With --bundle it ends
with 0 once the file is written.

Examples:
  bsm doctor
  bsm doctor --bundle bsm.zip`,
    )
    .action(async ({ bundle, json }: { bundle?: string; json?: true }) => {
      const machine = machineOf(cli.io.env)
      if (bundle !== undefined) {
        const { zip, files } = await makeBundle(machine, resolvePaths(cli.io.env), new Date())
        const path = resolve(bundle)
        await writeNew(path, zip)
        if (json) cli.json({ path, bytes: zip.length, files })
        else {
          for (const line of table(files.map(({ name, bytes: size }) => [name, bytes(size)]))) cli.say(line)
          cli.say(`${path}: ${bytes(zip.length)}. Read it before you send it to anyone.`)
        }
        return
      }
      const { ok, checks } = await diagnose(machine)
      if (json) cli.json({ ok, checks })
      else for (const line of findings(checks, columnsOf(cli.io.stdout))) cli.say(line)
      cli.exitCode = ok ? EXIT_CODE.ok : EXIT_CODE.finding
    })
}

/** This machine, seen from a terminal: the app, if one runs, is asked over its socket. */
function machineOf(env: NodeJS.ProcessEnv): ReturnType<typeof thisMachine> {
  return thisMachine({
    root: projectRoot,
    imageDir: locateImage(undefined, projectRoot).imageDir,
    env,
    helper: () =>
      locateHelper(undefined, projectRoot, { platform: process.platform, env, node: process.execPath }),
    app: () => askApp(env, (control) => control.status({ timeoutMs: STATUS_WITHIN_MS })),
    audit: () => askApp(env, (control) => control.verifyAudit()),
  })
}

async function askApp<T>(
  env: NodeJS.ProcessEnv,
  ask: (control: Awaited<ReturnType<typeof connectControl>>) => Promise<T>,
): Promise<T | null> {
  try {
    await using control = await connectControl(env)
    return await ask(control)
  } catch {
    return null
  }
}

/** Never over a file that is there: a person chose the name, and may have meant another. */
async function writeNew(path: string, data: Buffer): Promise<void> {
  try {
    await writeFile(path, data, { flag: 'wx', mode: 0o600 })
  } catch (error) {
    const why = error instanceof Error && 'code' in error && error.code === 'EEXIST'
    throw new UsageError(
      why ? `${path} exists already` : `${path} cannot be written: ${String(error)}`,
      'give --bundle the name of a new file',
    )
  }
}

/** What mends a finding stands below it on a line of its own, whole: it may be a command to copy. */
function findings(checks: readonly CheckResult[], columns: number | null): string[] {
  const width = Math.max(...checks.map(({ title }) => title.length))
  return checks.flatMap(({ status, title, message, remedy }) => [
    ...table([[SIGN[status], title.padEnd(width), escapeLine(message)]], { columns }),
    ...(remedy === undefined ? [] : [`   → ${escapeLine(remedy)}`]),
  ])
}
