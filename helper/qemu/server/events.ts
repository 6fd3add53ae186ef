import type { HelperEvent } from '../../../core/protocol/index.ts'

/** An event without its envelope: `kind` and `ts` are added where it is sent. */
type Bare<E> = E extends HelperEvent ? Omit<E, 'kind' | 'ts'> : never
export type Emit = (event: Bare<HelperEvent>) => void

export const stamped = (event: Bare<HelperEvent>): HelperEvent =>
  ({ kind: 'event', ...event, ts: new Date().toISOString() }) as HelperEvent
