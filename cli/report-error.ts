import { BsmError } from '../core/protocol/index.ts'
import { EXIT_CODE, exitCodeOf } from './exit-codes.ts'
import { escapeLine, terminalSafeJson } from './format/escape.ts'
import { columnsOf, wrap } from './format/wrap.ts'
import type { Io } from './io.ts'
import { InterruptedError } from './interrupt.ts'
import { UsageError } from './usage-error.ts'

/** Tells what went wrong, in the form the caller asked for, and returns the exit code. */
export function reportError(thrown: unknown, io: Io, json: boolean): number {
  if (thrown instanceof InterruptedError) return EXIT_CODE.interrupted
  const usage = thrown instanceof UsageError
  const error = usage
    ? new BsmError('BAD_REQUEST', 'app', thrown.message, { nextStep: thrown.nextStep ?? 'see `bsm --help`' })
    : BsmError.from(thrown, 'app')
  if (json) io.stdout.write(`${terminalSafeJson({ error: error.toWire() })}\n`)
  else {
    const line = `bsm: ${escapeLine(error.message)} (${error.code}, ${error.layer})`
    for (const piece of wrap(line, columnsOf(io.stderr))) io.stderr.write(`${piece}\n`)
    if (error.nextStep !== undefined) io.stderr.write(`next: ${escapeLine(error.nextStep)}\n`)
  }
  if (io.env.BSM_DEBUG) io.stderr.write(`${stackOf(thrown)}\n`)
  return usage ? EXIT_CODE.usage : exitCodeOf(error)
}

function stackOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown)
  const cause = thrown.cause === undefined ? '' : `\ncaused by: ${stackOf(thrown.cause)}`
  return `${thrown.stack ?? thrown.message}${cause}`
}
