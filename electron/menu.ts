import type { UpdateState } from '../core/index.ts'
import type { AppSnapshot, LoginItem } from '../core/protocol/index.ts'
import { plainLine, wordOf } from './look.ts'

/** What the menu of the icon and the keys of the app can do. */
export type MenuAction =
  | 'open'
  | 'start'
  | 'stop'
  | 'reset'
  | 'settings'
  | 'toggle_login'
  | 'open_login_items'
  | 'update'
  | 'about'
  | 'quit'

export type MenuEntry =
  | { readonly kind: 'separator' }
  | { readonly kind: 'text'; readonly label: string }
  | {
      readonly kind: 'action'
      readonly action: MenuAction
      readonly label: string
      readonly enabled: boolean
      readonly checked?: boolean
      readonly accelerator?: string
    }

const SEPARATOR: MenuEntry = { kind: 'separator' }

/** The essentials, for the right click, for keyboards and screen readers; everything else is in the popover. */
export function menuOf(snapshot: AppSnapshot, login: LoginItem, update: UpdateState): MenuEntry[] {
  const { state, message, last_crash: crash } = snapshot
  const item = (
    action: MenuAction,
    label: string,
    rest: { enabled?: boolean; checked?: boolean; accelerator?: string } = {},
  ): MenuEntry => ({ kind: 'action', action, label, enabled: true, ...rest })
  const down = state === 'stopped' || state === 'failed'
  return [
    { kind: 'text', label: `Brainstorm Sandbox is ${wordOf(snapshot)}` },
    { kind: 'text', label: plainLine(message) },
    ...(crash === null || message.includes(crash)
      ? []
      : [{ kind: 'text' as const, label: `Last failure: ${plainLine(crash)}` }]),
    SEPARATOR,
    item('open', state === 'degraded' ? 'Look at What Disagreed…' : 'Open Brainstorm Sandbox'),
    SEPARATOR,
    down
      ? item('start', 'Start the VM')
      : item('stop', 'Stop the VM', { enabled: state !== 'stopping' && state !== 'degraded' }),
    item('reset', 'Wipe the VM Now', { enabled: state === 'ready' }),
    SEPARATOR,
    item('settings', 'Settings…', { accelerator: 'CommandOrControl+,' }),
    ...loginEntries(login, item),
    ...updateEntries(update, item),
    item('about', 'About Brainstorm Sandbox'),
    SEPARATOR,
    item('quit', 'Quit Brainstorm Sandbox', { accelerator: 'CommandOrControl+Q' }),
  ]
}

function loginEntries(
  { status }: LoginItem,
  item: (action: MenuAction, label: string, rest?: { checked?: boolean }) => MenuEntry,
): MenuEntry[] {
  switch (status) {
    case 'unavailable':
      return []
    case 'requires_approval':
      return [item('open_login_items', 'Allow Launch at Login in System Settings…')]
    case 'enabled':
    case 'disabled':
      return [item('toggle_login', 'Launch at Login', { checked: status === 'enabled' })]
  }
}

/** What a click does next, or what is being done; nothing in a build without a feed. */
function updateEntries(
  update: UpdateState,
  item: (action: MenuAction, label: string, rest?: { enabled?: boolean }) => MenuEntry,
): MenuEntry[] {
  switch (update.kind) {
    case 'off':
      return []
    case 'idle':
    case 'failed':
      return [item('update', 'Check for Updates')]
    case 'current':
      return [item('update', 'Up to Date. Check Again')]
    case 'checking':
      return [item('update', 'Checking for Updates…', { enabled: false })]
    case 'available':
      return [item('update', `Download Version ${update.version}`)]
    case 'downloading':
      return [
        item('update', `Downloading Version ${update.version}: ${Math.floor(update.percent)} %`, {
          enabled: false,
        }),
      ]
    case 'ready':
      return [item('update', `Stop the VM and Install Version ${update.version}`)]
    case 'installing':
      return [item('update', `Installing Version ${update.version}…`, { enabled: false })]
  }
}
