import { parseArgs, type ParseArgsConfig } from 'node:util'
import { escapeText } from '../../cli/format/escape.ts'
import { HELPERS, type Which } from '../support/helper-binary.ts'
import { code, commit, MARK, passed, reportPath, summary, writeReport, type GateReport } from './report.ts'

/** The line of progress that a person sees; nothing of it goes to stdout, which is the report's. */
export type Progress = (line: string) => void

export type Run = {
  /** Aborted by Ctrl-C: whoever runs something ends it, cleans up and returns. */
  signal: AbortSignal
  progress: Progress
}

export type GateRun = Run & {
  /** Options and names that make it another run than the gate's whole. */
  asked: readonly string[]
  /** What is run, as it was when the run began. */
  files: Pick<GateReport, 'commit' | 'code'>
}

export class UsageError extends Error {
  override readonly name = 'UsageError'
}

type Options = NonNullable<ParseArgsConfig['options']>
type Values<O extends Options> = ReturnType<typeof parseArgs<{ options: O; allowPositionals: true }>>

/** Ends what runs at the first Ctrl-C; the second one, as ever, ends the process at once. */
export function untilInterrupted(): { signal: AbortSignal; done: () => void } {
  const interrupt = new AbortController()
  const stop = (): void => {
    if (interrupt.signal.aborted) process.exit(130)
    console.error('\nending; once more to leave at once')
    interrupt.abort(new Error('interrupted'))
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  return {
    signal: interrupt.signal,
    done: () => {
      process.off('SIGINT', stop)
      process.off('SIGTERM', stop)
    },
  }
}

export const INTERRUPTED = 130

/** A gate's command line; `run` gives null where there was nothing to run: `--help`, `--json`, `--slice`, progress on stderr, Ctrl-C, exit code. */
export async function gate<O extends Options>(
  help: string,
  options: O,
  run: (values: Values<O>['values'], positionals: string[], with_: GateRun) => Promise<GateReport | null>,
): Promise<void> {
  let parsed: Values<O>
  try {
    parsed = parseArgs({ options, allowPositionals: true }) as Values<O>
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${help}`)
    process.exitCode = 64
    return
  }
  const values = parsed.values as Record<string, unknown>
  if (values['help'] === true) {
    console.log(help)
    return
  }
  const { signal, done } = untilInterrupted()
  try {
    const files = { commit: commit(), code: code() }
    const asked = askedOf(options, values, parsed.positionals)
    const ran = await run(parsed.values, parsed.positionals, {
      signal,
      progress: (line) => console.error(line),
      asked,
      files,
    })
    if (ran === null) return
    const made: GateReport = {
      ...ran,
      ...(code() === files.code ? files : { commit: `${files.commit}, then ${commit()}`, code: 'changed' }),
      asked,
      interrupted: signal.aborted,
    }
    if (values['json'] === true) console.log(JSON.stringify(made))
    const path = reportPath(made)
    writeReport(path, made)
    for (const { id, outcome, reason } of made.items)
      if (outcome !== 'held') console.error(escapeText(`${MARK[outcome]} ${id}: ${outcome}: ${reason}`))
    console.error(`${summary(made)}\n  report: ${path}`)
    process.exitCode = signal.aborted ? INTERRUPTED : passed(made) ? 0 : 1
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`${error.message}\n\n${help}`)
      process.exitCode = 64
    } else if (signal.aborted) process.exitCode = INTERRUPTED
    else throw error
  } finally {
    done()
  }
}

/** Options of every gate that do not make its run another one than the whole. */
const OF_THE_WHOLE = ['help', 'json', 'slice', 'helper', 'fresh', 'keep-held']

function askedOf(options: Options, values: Record<string, unknown>, positionals: string[]): string[] {
  const given = Object.entries(values).filter(
    ([name, value]) => !OF_THE_WHOLE.includes(name) && value !== options[name]?.default,
  )
  return [...given.map(([name, value]) => `--${name} ${String(value)}`), ...positionals]
}

/** A whole number of an option. */
export function wholeNumber(option: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < min || value > max)
    throw new UsageError(`--${option} takes a whole number from ${min} to ${max}.`)
  return value
}

export const COMMON = {
  help: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  slice: { type: 'boolean', default: false },
  /** Begins anew where a run was cut off; some gates always do. */
  fresh: { type: 'boolean', default: false },
} as const

/** Options of a gate that does one thing after the other on one helper ({@link inTurn}). */
export const IN_TURN = {
  ...COMMON,
  helper: { type: 'string', default: 'qemu' },
  only: { type: 'string', default: '' },
  'keep-held': { type: 'boolean', default: false },
} as const

/** What they are, for a gate's help. */
export const IN_TURN_HELP = `--fresh          begins anew; else a run that was cut off goes on where it was, with the same files and options
  --keep-held      what held in the last run, of whatever files, is not run again; the report says of which commit it is`

/** The one helper of a gate that takes no other words. */
export function helperOption(helper: string, positionals: readonly string[]): Which {
  const which = HELPERS.find((one) => one === helper)
  if (which === undefined || positionals.length > 0)
    throw new UsageError(`--helper takes ${HELPERS.join(' or ')}, and there are no other arguments.`)
  return which
}
