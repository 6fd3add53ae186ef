import { ipcMain, type IpcMainEvent, type IpcMainInvokeEvent } from 'electron'
import * as z from 'zod'
import type { App } from '../core/index.ts'
import type { LoginItem } from '../core/protocol/index.ts'
import { CHANNEL } from './channels.ts'
import type { PageWindow } from './page-window.ts'
import { isOwnFrame } from './trust.ts'

interface IpcParts {
  readonly engine: App
  readonly windows: readonly PageWindow[]
  readonly hide: (window: PageWindow) => void
  readonly openSettings: () => void
  readonly loginItem: () => LoginItem
  readonly setLoginItem: (enabled: boolean) => LoginItem
  readonly openLoginItems: () => void
  readonly quit: () => void
}

type Event = IpcMainEvent | IpcMainInvokeEvent

const Text = z.string()
const Count = z.int().nonnegative()
const Flag = z.boolean()

/** The one door for messages of pages: who sent it is checked first, what it says second. */
export function serveIpc(parts: IpcParts): void {
  const { engine, windows } = parts
  const senderOf = (event: Event): PageWindow | null => {
    const window = windows.find((candidate) => candidate.owns(event.sender))
    if (window !== undefined && isOwnFrame(event.senderFrame, event.sender.mainFrame)) return window
    engine.logger.warn({ url: event.senderFrame?.url.slice(0, 200) }, 'Refused a message of a foreign frame.')
    return null
  }
  const on = <T>(
    channel: string,
    schema: z.ZodType<T>,
    act: (window: PageWindow, value: T) => void,
  ): void => {
    ipcMain.on(channel, (event, value: unknown) => {
      const window = senderOf(event)
      const parsed = schema.safeParse(value)
      if (window !== null && parsed.success) act(window, parsed.data)
    })
  }
  const handle = <T, R>(channel: string, schema: z.ZodType<T>, act: (value: T) => R): void =>
    ipcMain.handle(channel, (event, value: unknown) => {
      if (senderOf(event) === null) throw new Error('This frame may not ask.')
      return act(schema.parse(value))
    })
  const Nothing = z.undefined()
  on(CHANNEL.connect, Nothing, (window) => window.connected())
  on(CHANNEL.request, Text, (window, text) => window.requested(text))
  on(CHANNEL.taken, Count, (window, characters) => window.taken(characters))
  on(CHANNEL.hide, Nothing, parts.hide)
  on(CHANNEL.openSettings, Nothing, parts.openSettings)
  on(CHANNEL.openLoginItems, Nothing, parts.openLoginItems)
  on(CHANNEL.quit, Nothing, parts.quit)
  handle(CHANNEL.loginItem, Nothing, parts.loginItem)
  handle(CHANNEL.setLoginItem, Flag, parts.setLoginItem)
}
