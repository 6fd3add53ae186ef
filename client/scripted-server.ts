import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LineSplitter } from '../core/protocol/index.ts'

export type Asked = { kind: string; request_id: string; [field: string]: unknown }
/** What a test wants said: objects are sent as lines (events to whoever subscribed), strings as they are. */
export type Script = (request: Asked, say: (line: object | string) => void, socket: Socket) => void

type Options = {
  /** `scripted`: the script sees `hello` too. */
  hello?: 'answered' | 'scripted'
  /** File name of the socket. */
  socket?: string
}

/**
 * A real Unix socket whose answers a test writes down, for what an app in good health never does: silence,
 * garbage, oversize, a cut line. It stands in for the app, in tests of this folder alone.
 */
export class ScriptedServer {
  readonly requests: Asked[] = []
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #subscribers = new Set<Socket>()
  readonly folder: string
  readonly socketPath: string

  private constructor(folder: string, script: Script, { hello, socket }: Required<Options>) {
    this.folder = folder
    this.socketPath = join(folder, socket)
    this.#server = createServer((socket) => {
      this.#sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        this.#sockets.delete(socket)
        this.#subscribers.delete(socket)
      })
      const lines = new LineSplitter()
      socket.on('data', (chunk: Buffer) => {
        for (const line of lines.push(chunk)) {
          if (line.kind === 'too_long') continue
          const request = JSON.parse(line.text) as Asked
          this.requests.push(request)
          if (request.kind === 'subscribe') this.#subscribers.add(socket)
          const say = (what: object | string) => {
            const to = isEvent(what) ? this.#subscribers : [socket]
            for (const each of to) each.write(typeof what === 'string' ? what : `${JSON.stringify(what)}\n`)
          }
          if (request.kind === 'hello' && hello === 'answered') say(helloResponse(request))
          else script(request, say, socket)
        }
      })
    })
  }

  static async start(
    script: Script,
    { hello = 'answered', socket = 'agent.sock' }: Options = {},
  ): Promise<ScriptedServer> {
    const server = new ScriptedServer(await mkdtemp(join(tmpdir(), 'bsm-client-')), script, { hello, socket })
    await new Promise<void>((resolve) => server.#server.listen(server.socketPath, resolve))
    return server
  }

  /** Sends an event to whoever subscribed. */
  tell(event: object): void {
    for (const each of this.#subscribers) each.write(`${JSON.stringify(event)}\n`)
  }

  /** Hangs up on everyone, and goes on listening. */
  hangUp(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.hangUp()
    await new Promise((resolve) => this.#server.close(resolve))
    await rm(this.folder, { recursive: true, force: true })
  }
}

const isEvent = (what: object | string): boolean =>
  typeof what === 'object' && 'kind' in what && what.kind === 'event'

export const helloResponse = (request: Asked) => ({
  kind: 'hello_response',
  request_id: request.request_id,
  ok: true,
  version: '0.1.0',
  backend: 'qemu',
  accelerator: 'tcg',
})

const DIGEST = `sha256:${'a'.repeat(64)}`

export const execResponse = (request: Asked, fields: object = {}) => ({
  kind: 'exec_response',
  request_id: request.request_id,
  command_id: request.command_id,
  exit_code: 0,
  stdout: 'hello\n',
  stderr: '',
  evidence_hash: DIGEST,
  audit_head: DIGEST,
  queued_ms: 0,
  sandbox_reset_state: {
    reset_at: '2026-01-02T03:04:05.000Z',
    golden_hash: DIGEST,
    verification_passed: true,
    reset_ms: 12,
    verification_details: {
      fs_hash: DIGEST,
      fs_hash_baseline: DIGEST,
      fs_hash_match: true,
      open_fd_count: 20,
      open_fd_count_baseline: 20,
      vmm_api_state: 'running',
      expected_vmm_api_state: 'running',
      divergence_action: 'none',
    },
  },
  ...fields,
})

export const outputEvent = (commandId: unknown, text: string, seq = 2) => ({
  kind: 'event',
  event: 'exec_output',
  command_id: commandId,
  stream: 'stdout',
  data_b64: Buffer.from(text).toString('base64'),
  seq,
  ts: '2026-01-02T03:04:05.000Z',
})

export const appSnapshot = (fields: object = {}) => ({
  version: '0.1.0',
  state: 'ready',
  message: 'ready for a dispatch',
  since: '2026-01-02T03:04:05.000Z',
  error: null,
  degraded: null,
  helper: null,
  resets: [],
  dispatches: [],
  queue_length: 0,
  tools: [],
  helper_restarts: 0,
  last_crash: null,
  first_run: false,
  reset_target_ms: { fast_snapshot: 1_000, cold_boot: 5_000 },
  ...fields,
})

export const stateEvent = (fields: object) => ({
  kind: 'event',
  event: 'state_changed',
  snapshot: appSnapshot(fields),
  ts: '2026-01-02T03:04:05.000Z',
})
