import type { Shape, Tone } from '../parts/mark.tsx'
import type { AppState } from '../protocol.ts'

export type Look = { word: string; shape: Shape; tone: Tone }

/** How each state of the one state machine is said and drawn; nothing is derived. */
export const LOOKS: Record<AppState, Look> = {
  stopped: { word: 'Stopped', shape: 'square', tone: 'idle' },
  starting: { word: 'Starting', shape: 'arc', tone: 'busy' },
  ready: { word: 'Ready', shape: 'check', tone: 'ok' },
  dispatching: { word: 'Running', shape: 'play', tone: 'busy' },
  resetting: { word: 'Resetting', shape: 'loop', tone: 'busy' },
  degraded: { word: 'Halted', shape: 'alert', tone: 'bad' },
  failed: { word: 'Failed', shape: 'cross', tone: 'bad' },
  stopping: { word: 'Stopping', shape: 'arc', tone: 'idle' },
}

export const NOT_CONNECTED: Look = { word: 'Not connected', shape: 'dash', tone: 'idle' }

/** Which of the three actions make sense in a state. */
export const CAN: Record<'start' | 'stop' | 'reset', ReadonlySet<AppState>> = {
  start: new Set<AppState>(['stopped', 'failed']),
  stop: new Set<AppState>(['starting', 'ready', 'dispatching', 'resetting', 'degraded']),
  reset: new Set<AppState>(['ready', 'dispatching']),
}
