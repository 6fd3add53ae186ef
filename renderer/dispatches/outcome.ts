import type { Shape, Tone } from '../parts/mark.tsx'
import type { DispatchRecord } from '../protocol.ts'

export type Outcome = { word: string; shape: Shape; tone: Tone }

/** What became of a dispatch. A tool's non-zero exit is a result, not a failure of the sandbox. */
export function outcomeOf(
  record: Pick<DispatchRecord, 'state' | 'exit_code' | 'error' | 'reset_passed'>,
): Outcome {
  switch (record.state) {
    case 'queued':
      return { word: 'waiting', shape: 'ring', tone: 'idle' }
    case 'running':
      return { word: 'running', shape: 'play', tone: 'busy' }
    case 'resetting':
      return { word: 'resetting', shape: 'loop', tone: 'busy' }
    case 'done':
      return doneOutcome(record)
  }
}

function doneOutcome(record: Pick<DispatchRecord, 'exit_code' | 'error' | 'reset_passed'>): Outcome {
  if (record.reset_passed === false) return { word: 'wipe not verified', shape: 'alert', tone: 'bad' }
  switch (record.error?.code) {
    case undefined:
      break
    case 'SANDBOX_TOOL_TIMEOUT':
      return { word: 'timed out', shape: 'cross', tone: 'warn' }
    case 'CANCELLED':
      return { word: 'cancelled', shape: 'dash', tone: 'idle' }
    case 'OUTPUT_LIMIT':
      return { word: 'too much output', shape: 'cross', tone: 'warn' }
    default:
      return { word: 'failed', shape: 'cross', tone: 'bad' }
  }
  if (record.exit_code === 0) return { word: 'exit 0', shape: 'check', tone: 'ok' }
  return {
    word: record.exit_code === null ? 'no exit code' : `exit ${record.exit_code}`,
    shape: 'dot',
    tone: 'warn',
  }
}
