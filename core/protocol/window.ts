import * as z from 'zod'
import type { PageRequest } from './ui.ts'

/** What the app's own windows have that a browser's page has not: what the preload script puts on `window.bsm`. */

/** Whether the app starts when its person logs in. */
export const LoginItem = z.object({
  /** `requires_approval`: asked for, and to be allowed in System Settings › General › Login Items. */
  status: z.enum(['enabled', 'disabled', 'requires_approval', 'unavailable']),
  /** One sentence for a person, with the next step where there is one. */
  message: z.string(),
})
export type LoginItem = z.infer<typeof LoginItem>

export const WindowKind = z.enum(['popover', 'settings'])
export type WindowKind = z.infer<typeof WindowKind>

/**
 * The fixed set of functions in the app's own windows. What goes through is plain data: Electron's context bridge
 * copies it, and keeps of an error nothing but its message.
 */
export interface WindowBridge {
  readonly window: WindowKind
  /** Answered by a `reply` with the request's `id`. */
  send(request: PageRequest): void
  /** Hears every `UiMessage` as JSON, as over the WebSocket; returns how to stop. The first call asks for a snapshot. */
  subscribe(listener: (message: string) => void): () => void
  hide(): void
  openSettings(): void
  loginItem(): Promise<LoginItem>
  setLoginItem(enabled: boolean): Promise<LoginItem>
  /** Opens the pane of System Settings where a login item is allowed. */
  openLoginItems(): void
  quit(): void
}
