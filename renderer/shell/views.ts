import type { ComponentType } from 'react'
import { Channels } from '../channels/index.ts'
import { Dispatches } from '../dispatches/index.ts'
import { Health } from '../health/index.ts'
import { Resets } from '../resets/index.ts'
import { RunTool } from '../run/index.ts'
import { LastVerification } from '../verification/index.ts'

export type View = { id: string; title: string; sections: readonly ComponentType[] }

/** The popover's views, one at a time. A new subject is one line here and one in {@link COLUMNS}. */
export const VIEWS: readonly View[] = [
  { id: 'overview', title: 'Overview', sections: [LastVerification, Health, Channels] },
  { id: 'run', title: 'Run', sections: [RunTool] },
  { id: 'dispatches', title: 'Dispatches', sections: [Dispatches] },
  { id: 'resets', title: 'Resets', sections: [Resets] },
]

/** The same sections side by side where there is room; the last two stand in one column until there is more. */
export const COLUMNS: readonly (readonly ComponentType[])[] = [
  [RunTool, Dispatches],
  [LastVerification, Resets],
  [Health, Channels],
]
