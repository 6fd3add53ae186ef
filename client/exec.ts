import {
  BsmError,
  LIMITS,
  type AgentExecResponse,
  type ExecRequest,
  type OutputStream,
  type ToolCall,
} from '../core/protocol/index.ts'

export type Params = ExecRequest['params']

export type FileToSend = {
  /** Path in the guest; a relative one starts at `cwd`, which is the tool's home unless given. */
  path: string
  data: Uint8Array | string
  /** Permission bits; 0o644 unless given. */
  mode?: number
}

export type Output = {
  stream: OutputStream
  data: Buffer
  /** Evidence sequence number of the chunk that carried it. */
  seq: number
}

export type ExecOptions = {
  /** What the tool may take, 100 … 3 600 000; waiting in the queue does not count. 60 000 unless given. */
  deadlineMs?: number
  /** Milliseconds that this dispatch may wait for others'. 600 000 unless given. */
  queueMs?: number
  /** UUID of the dispatch; a fresh one unless given. A used one is refused. */
  commandId?: string
  filesIn?: readonly FileToSend[]
  /** Guest paths to bring back. */
  filesOut?: readonly string[]
  stdin?: Uint8Array | string
  cwd?: string
  env?: Readonly<Record<string, string>>
  /** Cancels the dispatch; the promise rejects with CANCELLED and the guest is wiped all the same. */
  signal?: AbortSignal
  /** Output as it appears, before the response. */
  onOutput?: (output: Output) => void
}

const DEFAULT_DEADLINE_MS = 60_000
export const DEFAULT_QUEUE_MS = 600_000

const base64 = (data: Uint8Array | string): string => Buffer.from(data).toString('base64')

/** The wire form of a dispatch. Throws BAD_REQUEST when files and their limit disagree (protocol §2). */
export function toolCall(commandId: string, tool: string, params: Params, options: ExecOptions): ToolCall {
  const files = options.filesIn ?? []
  const bytes = files.reduce((sum, file) => sum + Buffer.byteLength(file.data), 0)
  if (bytes > LIMITS.filesBytes)
    throw new BsmError(
      'BAD_REQUEST',
      'agent',
      `the files sent with a dispatch have ${bytes} bytes; at most ${LIMITS.filesBytes} are allowed`,
      { nextStep: 'send fewer or smaller files' },
    )
  return {
    command_id: commandId,
    tool,
    params,
    deadline_ms: options.deadlineMs ?? DEFAULT_DEADLINE_MS,
    ...(files.length === 0
      ? {}
      : {
          files_in: files.map(({ path, data, mode }) => ({
            path,
            mode: mode ?? 0o644,
            data_b64: base64(data),
          })),
        }),
    ...(options.filesOut === undefined || options.filesOut.length === 0
      ? {}
      : { files_out: [...options.filesOut] }),
    ...(options.stdin === undefined ? {} : { stdin_b64: base64(options.stdin) }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: { ...options.env } }),
  }
}

/** The bytes of a stream of a response, whatever their encoding on the wire. */
export function outputBytes(response: AgentExecResponse, stream: OutputStream): Buffer {
  const encoding = response.encoding?.[stream] ?? 'utf-8'
  return Buffer.from(response[stream], encoding === 'base64' ? 'base64' : 'utf8')
}
