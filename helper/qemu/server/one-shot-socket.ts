import { chmodSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { dirname, isAbsolute } from 'node:path'
import {
  BsmError,
  type HelperRequest,
  type HelperResponse,
  LIMITS,
  LineSplitter,
} from '../../../core/protocol/index.ts'
import { deferred, within } from '../deadline.ts'
import { distrustOfSocket } from '../paths.ts'
import { LineWriter } from './line-writer.ts'
import { errorResponse, parseRequest } from './requests.ts'

const CONNECT_MS = 1_000
/** A client that connects and does not ask is in the way. */
const REQUEST_WITHIN_MS = 10_000
const MAX_CONNECTIONS = 32

/** The Unix socket of the one-shot commands: one NDJSON request a connection (§1). */
export class OneShotSocket {
  readonly #path: string
  readonly #server: Server
  readonly #connections = new Set<Socket>()
  #listening = false

  private constructor(path: string, handle: (request: HelperRequest) => Promise<HelperResponse>) {
    this.#path = path
    this.#server = createServer((socket) => this.#serve(socket, handle))
    this.#server.maxConnections = MAX_CONNECTIONS
  }

  /** Checks that the path may be had: a live owner is refused, a dead one's socket is replaced. */
  static async reserve(
    path: string,
    handle: (request: HelperRequest) => Promise<HelperResponse>,
  ): Promise<OneShotSocket> {
    checkSocketPath(path)
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    checkPlace(path)
    await removeStale(path)
    return new OneShotSocket(path, handle)
  }

  async listen(): Promise<void> {
    const listening = deferred<null>()
    this.#server.once('error', (cause) =>
      listening.reject(
        new BsmError('BOOT_CONFIG_INVALID', 'helper', `The socket ${this.#path} cannot be made.`, {
          nextStep: 'Give another --socket, or --socket none.',
          cause,
        }),
      ),
    )
    // The umask decides the mode at bind: there is no moment in which others may connect.
    const before = process.umask(0o177)
    this.#server.listen(this.#path, () => listening.resolve(null))
    process.umask(before)
    await listening.promise
    chmodSync(this.#path, 0o600)
    this.#listening = true
  }

  async close(): Promise<void> {
    if (!this.#listening) return
    this.#listening = false
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const socket of this.#connections) socket.destroy()
    await closed
    rmSync(this.#path, { force: true })
  }

  #serve(socket: Socket, handle: (request: HelperRequest) => Promise<HelperResponse>): void {
    this.#connections.add(socket)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => this.#connections.delete(socket))
    socket.setTimeout(REQUEST_WITHIN_MS, () => socket.destroy())
    const lines = new LineSplitter()
    let asked = false
    socket.on('data', (chunk: Buffer) => {
      const line = asked ? undefined : lines.push(chunk)[0]
      if (line === undefined) return
      asked = true
      socket.setTimeout(0)
      void answer(new LineWriter(socket), parseRequest(line), handle).then(() => socket.end())
    })
  }
}

async function answer(
  output: LineWriter,
  parsed: ReturnType<typeof parseRequest>,
  handle: (request: HelperRequest) => Promise<HelperResponse>,
): Promise<void> {
  if (parsed.kind === 'refused') {
    output.write(errorResponse(parsed.requestId ?? NO_ID, parsed.error))
    return
  }
  try {
    output.write(await handle(parsed.request))
  } catch (thrown) {
    output.write(errorResponse(parsed.request.request_id, BsmError.from(thrown, 'helper')))
  }
}

/** For a line that had no id: the connection carries one answer and no more, so it is not missed. */
const NO_ID = '00000000-0000-0000-0000-000000000000'

export function checkSocketPath(path: string): void {
  if (!isAbsolute(path))
    throw new BsmError('BOOT_CONFIG_INVALID', 'helper', `The socket path "${path}" is not absolute.`, {
      nextStep: 'Give an absolute path, or --socket none.',
    })
  const length = Buffer.byteLength(path) + 1
  if (length > LIMITS.socketPathBytes)
    throw new BsmError(
      'BOOT_CONFIG_INVALID',
      'helper',
      `The socket path has ${length} bytes; ${LIMITS.socketPathBytes} are the most that every system takes.`,
      { nextStep: 'Give a shorter --socket, or --socket none.' },
    )
}

/** Another's place is none for it: its owner could put another socket there (§1: 0700). */
function checkPlace(path: string): void {
  const distrust = distrustOfSocket(path)
  if (distrust !== null)
    throw new BsmError('BOOT_CONFIG_INVALID', 'helper', `The socket cannot be there: ${distrust}`, {
      nextStep: `Give a --socket in a directory of yours alone (chmod 700 ${dirname(path)}), or --socket none.`,
    })
}

async function removeStale(path: string): Promise<void> {
  if (!existsSync(path)) return
  if (await isLive(path))
    throw new BsmError('BOOT_CONFIG_INVALID', 'helper', `Another helper listens on ${path}.`, {
      nextStep: 'Stop it, or give another --socket.',
    })
  rmSync(path, { force: true })
}

async function isLive(path: string): Promise<boolean> {
  const socket = connect(path)
  const connected = new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
  })
  try {
    // One that neither takes nor refuses a connection is busy, not dead.
    return await within(CONNECT_MS, connected, () => new Error('busy')).catch(() => true)
  } finally {
    socket.destroy()
  }
}
