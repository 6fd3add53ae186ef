import type { WindowBridge } from '../protocol.ts'
import type { Bridge } from './bridge.ts'
import { IpcBridge } from './ipc-bridge.ts'
import { WsBridge } from './ws-bridge.ts'

declare global {
  interface Window {
    /** Put there by the preload script of the app's own window. */
    readonly bsm?: WindowBridge
  }
}

/** What the app's own window has beside the bridge; null in any other page. */
export const appWindow = (): WindowBridge | null => window.bsm ?? null

/** The app's own window brings a bridge along; any other page talks to the server it came from. */
export const chooseBridge = (): Bridge =>
  window.bsm === undefined ? new WsBridge() : new IpcBridge(window.bsm)

export type { Answer, Bridge, BridgeEvent, Call, Connection, Output } from './bridge.ts'
export { RequestError, wireErrorOf } from './bridge.ts'
