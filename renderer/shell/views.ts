import { lazy, type ComponentType } from 'react'
import { Channels } from '../channels/index.ts'
import { Dispatches } from '../dispatches/index.ts'
import { Health } from '../health/index.ts'
import { Resets } from '../resets/index.ts'
import { RunTool } from '../run/index.ts'
import { LastVerification } from '../verification/index.ts'

export type SandboxView = 'overview' | 'run' | 'dispatches' | 'resets'
export type PageView = 'logs' | 'diagnostics' | 'settings'
export type ViewId = SandboxView | PageView
export type View = { id: ViewId; title: string }

/** What stands side by side where there is room, and is shown one at a time where there is not. */
export const SANDBOX_VIEWS: readonly View[] = [
  { id: 'overview', title: 'Overview' },
  { id: 'run', title: 'Run' },
  { id: 'dispatches', title: 'Dispatches' },
  { id: 'resets', title: 'Resets' },
]

/** What has the whole window for itself. */
export const PAGE_VIEWS: readonly View[] = [
  { id: 'logs', title: 'Logs' },
  { id: 'diagnostics', title: 'Diagnostics' },
  { id: 'settings', title: 'Settings' },
]

/** Loaded when they are first looked at. */
export const PAGES: Record<PageView, ComponentType> = {
  logs: lazy(async () => ({ default: (await import('../logs/index.ts')).Logs })),
  diagnostics: lazy(async () => ({ default: (await import('../diagnostics/index.ts')).Diagnostics })),
  settings: lazy(async () => ({ default: (await import('../settings/index.ts')).SettingsPage })),
}

export const isPage = (view: ViewId): view is PageView => view in PAGES

/**
 * The sandbox's sections, in the columns in which they stand side by side where there is room, with the view
 * that each belongs to where there is not. A new subject is one line here.
 */
export const COLUMNS: readonly (readonly { view: SandboxView; Section: ComponentType }[])[] = [
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
