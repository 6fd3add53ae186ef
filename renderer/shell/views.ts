import type { ComponentType } from 'react'
import { Channels } from '../channels/index.ts'
import { Dispatches } from '../dispatches/index.ts'
import { Health } from '../health/index.ts'
import { Resets } from '../resets/index.ts'
import { RunTool } from '../run/index.ts'
import { LastVerification } from '../verification/index.ts'

export type ViewId = 'overview' | 'run' | 'dispatches' | 'resets'

/** What the popover shows one at a time. */
export const VIEWS: readonly { id: ViewId; title: string }[] = [
  { id: 'overview', title: 'Overview' },
  { id: 'run', title: 'Run' },
  { id: 'dispatches', title: 'Dispatches' },
  { id: 'resets', title: 'Resets' },
]

/**
 * Every section, in the columns in which they stand side by side where there is room, with the view
 * that each belongs to where there is not. A new subject is one line here.
 */
export const COLUMNS: readonly (readonly { view: ViewId; Section: ComponentType }[])[] = [
  [
    { view: 'run', Section: RunTool },
    { view: 'dispatches', Section: Dispatches },
  ],
  [
    { view: 'overview', Section: LastVerification },
    { view: 'resets', Section: Resets },
  ],
  [
    { view: 'overview', Section: Health },
    { view: 'overview', Section: Channels },
  ],
]
