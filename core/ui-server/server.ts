import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import type { App } from '../app.ts'
import { systemClock, type Clock } from '../clock.ts'
import { errnoOf, fileError } from '../files.ts'
import { BsmError, LIMITS } from '../protocol/index.ts'
import { isOurHost, isOurOrigin, securityHeaders } from './headers.ts'
import { PageConnection } from './page-connection.ts'
import { readStatic } from './static.ts'
import { UiCredentials } from './tokens.ts'

export interface UiServerOptions {
  /** The built page, `dist/ui`. */
  readonly directory: string
  /** 0, the default, takes a free one. */
  readonly port?: number
  readonly clock?: Clock
}

export interface UiServer {
  readonly port: number
  /** A fresh address: its token works once, within 60 s. */
  mintUrl(): string
  close(): Promise<void>
}

const HOST = '127.0.0.1'
const SOCKET_PATH = '/ws'
/** Bytes of one message from a page; the largest is a tool's parameters. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024
const MAX_PAGES = 64
/** Connections that did not sign in. Any local user can make them, so the oldest gives way to the newest. */
const MAX_STRANGERS = 256
/** Bytes of a WebSocket before it signed in, frames included: its first message is at most 4 KiB long. */
const MAX_STRANGER_BYTES = 2 * LIMITS.helloBytes
const PING_MS = 30_000
const CLOSE_MS = 500

/** Serves the page to this machine alone and speaks with it over one WebSocket (protocol §5). */
export async function serveUi(app: App, options: UiServerOptions): Promise<UiServer> {
  const server = new Server(app, options)
  await server.listen(options.port ?? 0)
  app.attachUi(server)
  return server
}

class Server implements UiServer {
  readonly #app: App
  readonly #directory: string
  readonly #credentials: UiCredentials
  readonly #http = createServer({
    requestTimeout: 5_000,
    headersTimeout: 3_000,
    keepAliveTimeout: 5_000,
    connectionsCheckingInterval: 1_000,
    maxHeaderSize: 16 * 1024,
  })
  readonly #sockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
  })
  readonly #pages = new Set<PageConnection>()
  /** Oldest first. */
  readonly #strangers = new Set<Duplex>()
  #ping: NodeJS.Timeout | undefined
  #port = 0

  constructor(app: App, { directory, clock = systemClock }: UiServerOptions) {
    this.#app = app
    this.#directory = directory
    this.#credentials = new UiCredentials(clock)
    this.#http.on('connection', (socket) => this.#arrived(socket))
    this.#http.on('request', (request, response) => void this.#serve(request, response))
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
    this.#http.on('clientError', (_error, socket) => socket.destroy())
  }

  get port(): number {
    return this.#port
  }

  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const failed = (error: Error): void => reject(listenError(error, port))
      this.#http.once('error', failed)
      this.#http.listen({ port, host: HOST, exclusive: true }, () => {
        this.#http.off('error', failed)
        resolve()
      })
    })
    this.#port = (this.#http.address() as AddressInfo).port
  }

  mintUrl(): string {
    return `http://${HOST}:${this.#port}/#token=${this.#credentials.mintToken()}`
  }

  async close(): Promise<void> {
    clearInterval(this.#ping)
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()))
    for (const page of this.#pages) page.close()
    const late = setTimeout(() => {
      for (const page of this.#pages) page.terminate()
      // Node no longer counts among its connections what asked for an upgrade, also one that was refused.
      for (const socket of this.#strangers) socket.destroy()
      this.#http.closeAllConnections()
    }, CLOSE_MS)
    this.#http.closeIdleConnections()
    await closed
    clearTimeout(late)
  }

  #arrived(socket: Duplex): void {
    this.#strangers.add(socket)
    socket.once('close', () => this.#strangers.delete(socket))
    for (const oldest of this.#strangers) {
      if (this.#strangers.size <= MAX_STRANGERS) break
      this.#strangers.delete(oldest)
      oldest.destroy()
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(securityHeaders(`ws://${HOST}:${this.#port}`)))
      response.setHeader(name, value)
    const refuse = (status: number, sentence: string): void => {
      response.statusCode = status
      response.setHeader('Content-Type', 'text/plain; charset=utf-8')
      // The connection ends with it: a body that was sent along is not read.
      response.setHeader('Connection', 'close')
      response.end(`${sentence}\n`)
    }
    const { host, origin } = request.headers
    if (!isOurHost(host, this.#port)) return refuse(421, 'This page is served at its own address only.')
    if (origin !== undefined && !isOurOrigin(origin, this.#port))
      return refuse(403, 'Another site may not ask.')
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD')
      return refuse(405, 'Only GET and HEAD are answered here.')
    }
    try {
      const file = await readStatic(this.#directory, request.url ?? '/')
      if (file === null) return refuse(404, notFound(request.url))
      response.setHeader('Content-Type', file.type)
      response.setHeader('Content-Length', file.bytes.length)
      response.end(request.method === 'HEAD' ? undefined : file.bytes)
    } catch (error) {
      this.#app.logger.error(fileError(error, 'serve the page').message)
      refuse(500, 'The page could not be read; see the log of the app.')
    }
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => undefined)
    const { host, origin } = request.headers
    const signedIn = [...this.#pages].filter(({ authenticated }) => authenticated).length
    const status = !isOurHost(host, this.#port)
      ? '421 Misdirected Request'
      : !isOurOrigin(origin, this.#port)
        ? '403 Forbidden'
        : request.method !== 'GET' || request.url !== SOCKET_PATH
          ? '404 Not Found'
          : signedIn >= MAX_PAGES
            ? '503 Service Unavailable'
            : null
    if (status !== null) {
      // The peer's own side may stay open for ever: a server's sockets end on both only when both want to.
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () =>
        socket.destroy(),
      )
      return
    }
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
      const uncount = boundBytes(socket, head.length)
      const page = new PageConnection(webSocket, this.#app, this.#credentials, () => {
        uncount()
        this.#strangers.delete(socket)
      })
      this.#pages.add(page)
      this.#ping ??= setInterval(() => this.#pages.forEach((each) => each.ping()), PING_MS)
      webSocket.on('close', () => this.#left(page))
    })
  }

  #left(page: PageConnection): void {
    this.#pages.delete(page)
    if (this.#pages.size > 0) return
    clearInterval(this.#ping)
    this.#ping = undefined
  }
}

/** Hangs up on a peer that sends too much before it signed in. Returns what ends the counting. */
function boundBytes(socket: Duplex, already: number): () => void {
  let bytes = already
  const count = (chunk: Buffer): void => {
    bytes += chunk.length
    if (bytes > MAX_STRANGER_BYTES) socket.destroy()
  }
  socket.on('data', count)
  return () => socket.off('data', count)
}

const notFound = (url: string | undefined): string =>
  url === '/' ? 'The page is not built: run npm run build.' : 'There is nothing here.'

function listenError(error: Error, port: number): BsmError {
  if (errnoOf(error) !== 'EADDRINUSE') return fileError(error, `serve the page on port ${port}`)
  return new BsmError('BUSY', 'app', `Port ${port} is taken.`, {
    nextStep: 'Choose another port.',
    cause: error,
  })
}
