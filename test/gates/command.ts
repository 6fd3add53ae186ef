import { join } from 'node:path'
import { parseArgs, type ParseArgsConfig } from 'node:util'
import { repository } from '../support/image.ts'
import { passed, summary, writeReport, type GateReport } from './report.ts'

/** The line of progress that a person sees; nothing of it goes to stdout, which is the report's. */
export type Progress = (line: string) => void

export type Run = {
  /** Aborted by Ctrl-C: whoever runs something ends it, cleans up and returns. */
  signal: AbortSignal
  progress: Progress
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

/** A gate's command line: `--help`, `--json`, `--slice`, progress on stderr, Ctrl-C, exit code. */
export async function gate<O extends Options>(
  help: string,
  options: O,
  run: (values: Values<O>['values'], positionals: string[], with_: Run) => Promise<GateReport[]>,
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
    const reports = await run(parsed.values, parsed.positionals, {
      signal,
      progress: (line) => console.error(line),
    })
    if (values['json'] === true) console.log(JSON.stringify(reports.length === 1 ? reports[0] : reports))
    for (const made of reports) {
      const path = reportPath(made)
      writeReport(path, made)
      for (const { id, outcome, reason } of made.items)
        if (outcome !== 'held')
          console.error(`${outcome === 'broken' ? '✗' : '–'} ${id}: ${outcome}: ${reason}`)
      console.error(`${summary(made)}\n  report: ${path}`)
    }
    process.exitCode = signal.aborted ? INTERRUPTED : reports.length > 0 && reports.every(passed) ? 0 : 1
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

export const gateFolder = join(repository, 'out/gates')

const reportPath = ({ gate: name, helper, slice }: GateReport): string =>
  join(gateFolder, `${[name, helper, slice ? 'slice' : null].filter((part) => part !== null).join('-')}.json`)

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
} as const

export const HELPERS = ['qemu', 'vz'] as const
export type Which = (typeof HELPERS)[number]

/** `--helper qemu|vz|both`. */
export function helpersOf(text: string): Which[] {
  if (text === 'both') return [...HELPERS]
  const which = HELPERS.find((one) => one === text)
  if (which === undefined) throw new UsageError('--helper takes qemu, vz or both.')
  return [which]
}
