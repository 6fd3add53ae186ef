import type { AppSnapshot, AppState } from '../core/protocol/index.ts'

/** Shapes of the icon; build/tray-images.ts draws one for each. */
export const TRAY_SHAPES = [
  'stopped',
  'starting',
  'ready',
  'working',
  'resetting',
  'degraded',
  'error',
] as const
export type TrayShape = (typeof TRAY_SHAPES)[number]

const LOOKS: Record<AppState, { readonly shape: TrayShape; readonly word: string }> = {
  stopped: { shape: 'stopped', word: 'stopped' },
  stopping: { shape: 'stopped', word: 'stopping' },
  starting: { shape: 'starting', word: 'starting' },
  ready: { shape: 'ready', word: 'ready' },
  dispatching: { shape: 'working', word: 'working' },
  resetting: { shape: 'resetting', word: 'resetting' },
  degraded: { shape: 'degraded', word: 'degraded' },
  failed: { shape: 'error', word: 'error' },
}

export const shapeOf = ({ state }: Pick<AppSnapshot, 'state'>): TrayShape => LOOKS[state].shape
export const wordOf = ({ state }: Pick<AppSnapshot, 'state'>): string => LOOKS[state].word

const LONGEST = 200

/**
 * What the pointer on the icon shows and VoiceOver says: the state in words, and the sentence of the one state machine.
 * A guest may have had a hand in it, so it is one short line without anything invisible.
 */
export function tooltipOf({ state, message }: Pick<AppSnapshot, 'state' | 'message'>): string {
  return `Brainstorm Sandbox: ${LOOKS[state].word}. ${plainLine(message)}`
}

export function plainLine(text: string): string {
  const line = text.replace(/[\p{C}\p{Z}]+/gu, ' ').trim()
  return line.length > LONGEST ? `${line.slice(0, LONGEST).replace(/[\ud800-\udbff]$/, '')}…` : line
}
