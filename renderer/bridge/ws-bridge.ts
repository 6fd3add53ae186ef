import type { UiMessage, WireError } from '../protocol.ts'
import { RequestError, type Answer, type Bridge, type BridgeEvent, type Call } from './bridge.ts'
import { afterClose, backoffMs, tokenOf, type Credential } from './reconnect.ts'
import { WaitingRequests } from './waiting.ts'

const CONNECT_WITHIN_MS = 5_000
const SESSION_KEY = 'bsm.session'

const LOST: WireError = {
  code: 'CANCELLED',
  layer: 'app',
  message: 'The connection to the app closed before it answered.',
  next_step: 'When the page is connected again, look under Dispatches before you repeat it.',
}
const OFFLINE: WireError = {
  code: 'CANCELLED',
  layer: 'app',
  message: 'The page is not connected to the app.',
  next_step: 'Wait until it is connected again, or run `bsm open` for a fresh page.',
}
/**
 * The bridge of a page served headless (protocol §5): the token comes in the address's fragment, is
 * taken out of it at once, and is sent as the first message. Pushes only; nothing is polled.
 */
export class WsBridge implements Bridge {
  readonly #listeners = new Set<(event: BridgeEvent) => void>()
  readonly #waiting = new WaitingRequests()
  #socket: WebSocket | null = null
  #greeted = false
  #attempt = 0
  #silentCloses = 0
  #retry: number | undefined
  #session = sessionStorage.getItem(SESSION_KEY)

  connect(): void {
    // A fresh address pasted into the same tab changes only the fragment and does not reload.
    window.addEventListener('hashchange', () => {
      if (tokenOf(location.hash) !== null) this.#begin()
    })
    this.#begin()
  }

  subscribe(listener: (event: BridgeEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  request<C extends Call>(call: C): Promise<Answer<C>> {
    const socket = this.#socket
    if (socket === null || !this.#greeted) return Promise.reject(new RequestError(OFFLINE))
    return this.#waiting.ask(call, (request) => socket.send(JSON.stringify(request)))
  }

  #begin(): void {
    const token = tokenOf(location.hash)
    if (token !== null) history.replaceState(null, '', location.pathname + location.search)
    window.clearTimeout(this.#retry)
    this.#attempt = 0
    this.#silentCloses = 0
    if (token !== null) this.#dial({ kind: 'token', token })
    else if (this.#session !== null) this.#dial({ kind: 'session', session: this.#session })
    else this.#tell({ type: 'connection', connection: { kind: 'signed_out', reason: 'no_token' } })
  }

  #dial(credential: Credential): void {
    const old = this.#socket
    this.#socket = null
    old?.close()
    this.#tell({
      type: 'connection',
      connection:
        this.#attempt === 0 ? { kind: 'connecting' } : { kind: 'reconnecting', attempt: this.#attempt },
    })
    const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`)
    const giveUp = window.setTimeout(() => socket.close(), CONNECT_WITHIN_MS)
    let opened = false
    this.#socket = socket
    this.#greeted = false
    socket.addEventListener('open', () => {
      opened = true
      const secret =
        credential.kind === 'token' ? { token: credential.token } : { session: credential.session }
      socket.send(JSON.stringify({ action: 'auth', ...secret }))
    })
    socket.addEventListener('message', (event) => {
      if (this.#socket !== socket || typeof event.data !== 'string') return
      window.clearTimeout(giveUp)
      this.#greet()
      this.#take(JSON.parse(event.data) as UiMessage)
    })
    socket.addEventListener('close', (event) => {
      window.clearTimeout(giveUp)
      if (this.#socket !== socket) return
      this.#closed(event.code, opened, credential)
    })
  }

  #greet(): void {
    if (this.#greeted) return
    this.#greeted = true
    this.#attempt = 0
    this.#silentCloses = 0
    this.#tell({ type: 'connection', connection: { kind: 'open' } })
  }

  #take(message: UiMessage): void {
    switch (message.type) {
      case 'session':
        this.#session = message.session
        sessionStorage.setItem(SESSION_KEY, message.session)
        return
      case 'reply':
        return this.#waiting.answer(message)
      case 'snapshot':
      case 'output':
      case 'log_grew':
        this.#tell(message)
    }
  }

  #closed(code: number, opened: boolean, used: Credential): void {
    const greeted = this.#greeted
    this.#socket = null
    this.#greeted = false
    this.#waiting.rejectAll(LOST)
    if (opened && !greeted) this.#silentCloses += 1
    const then = afterClose({ code, opened, greeted, silentCloses: this.#silentCloses }, used, this.#session)
    if ('signedOut' in then) {
      this.#session = null
      sessionStorage.removeItem(SESSION_KEY)
      this.#tell({ type: 'connection', connection: { kind: 'signed_out', reason: then.signedOut } })
      return
    }
    this.#attempt += 1
    this.#tell({ type: 'connection', connection: { kind: 'reconnecting', attempt: this.#attempt } })
    this.#retryWith(then.next)
  }

  /** A page that nobody sees does not knock; it does so at once when somebody looks. */
  #retryWith(credential: Credential): void {
    if (!document.hidden) {
      const wait = backoffMs(this.#attempt, Math.random())
      this.#retry = window.setTimeout(() => this.#dial(credential), wait)
      return
    }
    const seen = () => {
      if (document.hidden) return
      document.removeEventListener('visibilitychange', seen)
      if (this.#socket === null) this.#dial(credential)
    }
    document.addEventListener('visibilitychange', seen)
  }

  #tell(event: BridgeEvent): void {
    for (const listener of this.#listeners) listener(event)
  }
}
