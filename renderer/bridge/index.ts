import type { Bridge } from './bridge.ts'
import { WsBridge } from './ws-bridge.ts'

declare global {
  interface Window {
    /** Put there by the preload script of the app's own window. */
    readonly bsm?: Bridge
  }
}

/** The app's own window brings a bridge along; any other page talks to the server it came from. */
export const chooseBridge = (): Bridge => window.bsm ?? new WsBridge()

export type { Answer, Bridge, BridgeEvent, Call, Connection, Output } from './bridge.ts'
export { RequestError, wireErrorOf } from './bridge.ts'
