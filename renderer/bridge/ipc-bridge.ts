import type { PageRequest, UiMessage, WindowBridge } from '../protocol.ts'
import type { Answer, Bridge, BridgeEvent, Call } from './bridge.ts'
import { WaitingRequests } from './waiting.ts'

/** The bridge of a page in the app's own window: the same messages over the preload script, without signing in. */
export class IpcBridge implements Bridge {
  readonly #window: WindowBridge
  readonly #listeners = new Set<(event: BridgeEvent) => void>()
  readonly #waiting = new WaitingRequests()
  #open = false

  constructor(window: WindowBridge) {
    this.#window = window
  }

  connect(): void {
    this.#tell({ type: 'connection', connection: { kind: 'connecting' } })
    this.#window.subscribe((message) => this.#take(JSON.parse(message) as UiMessage))
  }

  subscribe(listener: (event: BridgeEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  request<C extends Call>(call: C): Promise<Answer<C>> {
    return this.#waiting.ask(call, (request) => this.#window.send(request as unknown as PageRequest))
  }

  #take(message: UiMessage): void {
    if (!this.#open) {
      this.#open = true
      this.#tell({ type: 'connection', connection: { kind: 'open' } })
    }
    switch (message.type) {
      case 'session':
        return
      case 'reply':
        return this.#waiting.answer(message)
      case 'snapshot':
      case 'output':
      case 'log_grew':
        this.#tell(message)
    }
  }

  #tell(event: BridgeEvent): void {
    for (const listener of this.#listeners) listener(event)
  }
}
