import { randomUUID } from 'node:crypto'
import { InvalidArgumentError, type Command } from 'commander'
import { BsmError, LIMITS, type AgentExecResponse } from '../../core/protocol/index.ts'
import type { Control, ExecOptions, Params } from '../../client/index.ts'
import type { AddCommand, Cli } from '../cli.ts'
import { execExitCode } from '../exec/exit-code.ts'
import {
  parseFileIn,
  parseFileOut,
  readBounded,
  readFilesIn,
  writeFilesOut,
  type FilePair,
} from '../exec/files.ts'
import { LiveOutput } from '../exec/live-output.ts'
import { findTool, parseParams, wordsToParams } from '../exec/params.ts'
import { EXIT_CODE } from '../exit-codes.ts'
import { escapeLine } from '../format/escape.ts'
import { resetVerdict } from '../format/verdict.ts'
import { InterruptedError, onInterrupt } from '../interrupt.ts'
import { integer } from '../options.ts'
import { UsageError } from '../usage-error.ts'

type Options = {
  params?: string
  deadlineMs: number
  stdin?: string
  fileIn?: FilePair[]
  fileOut?: FilePair[]
  cwd?: string
  env?: Record<string, string>
  json?: true
  raw?: true
}

export const exec: AddCommand = (program, cli) => {
  const command: Command = program
    .command('exec')
    .description('run one tool in the sandbox, which is wiped afterwards, and end with its exit code')
    .argument('<tool>', 'name of the tool; `bsm status --json` lists them')
    .argument('[words...]', "the tool's one required text parameter, in words")
    .option('--params <json>', 'parameters, a JSON object')
    .option(
      '--deadline-ms <n>',
      'what the tool may take, without waiting in the queue',
      integer(LIMITS.deadlineMinMs, LIMITS.deadlineMaxMs),
      60_000,
    )
    .option('--stdin <file>', 'standard input of the tool; - is our own')
    .option('--file-in <host:guest>', 'put a file in before; repeatable', collect(parseFileIn))
    .option('--file-out <guest:host>', 'fetch a file afterwards; repeatable', collect(parseFileOut))
    .option('--cwd <dir>', 'working directory in the guest')
    .option('--env <k=v>', 'environment variable; repeatable', collectEnv)
    .option('--json', 'print the whole response, with the verdict of the reset, as one JSON object')
    .option('--raw', 'do not escape control characters on a terminal')
    .addHelpText(
      'after',
      `
Examples:
  bsm exec sh -- 'uname -a; id'
  bsm exec echo --params '{"text":"hello"}' --json
  bsm exec sh --file-in a:/tmp/a --file-out /tmp/n:n -- 'wc -l /tmp/a >/tmp/n'`,
    )
  command.action(async (tool: string, words: string[], options: Options) => {
    cli.exitCode = await runExec(cli, tool, words, options)
  })
}

async function runExec(cli: Cli, tool: string, words: string[], options: Options): Promise<number> {
  if (options.params !== undefined && words.length > 0)
    throw new UsageError('give --params or words, not both')
  const given = options.params === undefined ? undefined : parseParams(options.params)
  await using control = await cli.control()
  const params = given ?? (await paramsOf(control, tool, words))

  const { fileIn = [], fileOut = [] } = options
  const live = options.json ? null : new LiveOutput(cli.io, options.raw ?? false)
  const response = await dispatch(cli, control, tool, params, {
    deadlineMs: options.deadlineMs,
    filesIn: await readFilesIn(fileIn),
    filesOut: fileOut.map((pair) => pair.guest),
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.stdin === undefined ? {} : { stdin: await readStdin(cli, options.stdin) }),
    ...(live === null ? {} : { onOutput: (output) => live.push(output) }),
  })
  const holes = live?.finish(response) ?? []
  const problems = await writeFilesOut(fileOut, response.files ?? [])

  if (options.json) cli.json(response)
  else tell(cli, response, [...holes, ...problems])
  const code = execExitCode(response)
  return code === EXIT_CODE.ok && problems.length > 0 ? EXIT_CODE.sandbox : code
}

async function paramsOf(control: Control, tool: string, words: string[]): Promise<Params> {
  if (words.length === 0) return {}
  return wordsToParams(findTool((await control.status()).tools, tool), words)
}

function readStdin(cli: Cli, source: string): Promise<Buffer> {
  return source === '-' ? cli.readStdin() : readBounded(source, LIMITS.filesBytes)
}

/** Runs the dispatch; the first Ctrl-C cancels it and waits for the wipe's verdict, the second leaves. */
async function dispatch(
  cli: Cli,
  control: Control,
  tool: string,
  params: Params,
  options: ExecOptions,
): Promise<AgentExecResponse> {
  const commandId = randomUUID()
  const leave = new AbortController()
  using _ = onInterrupt((count) => {
    if (count > 1) return leave.abort()
    cli.note('cancelling; once more to leave at once')
    control.cancel(commandId).catch(() => leave.abort())
  })
  try {
    return await control.exec(tool, params, { ...options, commandId, signal: leave.signal })
  } catch (error) {
    throw leave.signal.aborted ? new InterruptedError() : error
  }
}

/** What a person is told beside the output. */
function tell(cli: Cli, response: AgentExecResponse, problems: string[]): void {
  if (response.error) {
    const { code, layer, message, nextStep } = BsmError.fromWire(response.error)
    cli.remark(`bsm: ${escapeLine(message)} (${code}, ${layer})`)
    if (nextStep !== undefined) cli.note(`next: ${escapeLine(nextStep)}`)
  }
  for (const problem of problems) cli.remark(`bsm: ${escapeLine(problem)}`)
  if (response.sandbox_reset_state) cli.remark(resetVerdict(response.sandbox_reset_state))
}

const collect =
  <T>(parse: (text: string) => T) =>
  (text: string, before: T[] = []): T[] => [...before, parse(text)]

function collectEnv(text: string, before: Record<string, string> = {}): Record<string, string> {
  const equals = text.indexOf('=')
  if (equals < 1) throw new InvalidArgumentError('It takes NAME=VALUE.')
  return { ...before, [text.slice(0, equals)]: text.slice(equals + 1) }
}
