import { randomUUID } from 'node:crypto'
import { connect } from 'node:net'
import { isAbsolute } from 'node:path'
import {
  BsmError,
  EXIT,
  exitCodeFor,
  HelperRequest,
  HelperResponse,
  LineSplitter,
  parseStrictJson,
  type WireError,
} from '../../../core/protocol/index.ts'
import { deferred, within } from '../deadline.ts'
import { defaultSocketPath, distrustOfSocket } from '../paths.ts'

/** What the helper has for a reset, its second try and the way, beyond a dispatch's own deadline. */
const RESET_MS = 60_000
const STATE_MS = 120_000
const CONNECT_MS = 5_000

export type ExecFlags = {
  commandId?: string
  tool?: string
  params: string
  deadlineMs: string
  socket?: string
}

/** `exec`: one dispatch through the running helper, which resets before it answers. */
export async function oneShotExec(flags: ExecFlags): Promise<number> {
  return await printed(async () => {
    const deadline_ms = Number(flags.deadlineMs)
    const request = checked({
      kind: 'exec',
      request_id: randomUUID(),
      command_id: flags.commandId,
      tool: flags.tool,
      params: parseParams(flags.params),
      deadline_ms,
    })
    const response = await ask(socketOf(flags), request, deadline_ms + RESET_MS)
    // A result exists unless the dispatch was never run.
    const refused =
      response.kind !== 'exec_response' || (response.evidence_hash === null && response.error !== undefined)
    const failure = refused && 'error' in response ? response.error : wipeFailure(response)
    return { response, code: failure === undefined ? EXIT.ok : exitCodeFor(failure.code), failure }
  })
}

export async function oneShotSaveState(flags: { out?: string; socket?: string }): Promise<number> {
  return await printed(async () => {
    const request = checked({
      kind: 'save_state',
      request_id: randomUUID(),
      out_path: absolute('--out', flags.out),
    })
    return await askForState(socketOf(flags), request)
  })
}

export async function oneShotRestoreState(flags: { from?: string; socket?: string }): Promise<number> {
  return await printed(async () => {
    const request = checked({
      kind: 'restore_state',
      request_id: randomUUID(),
      from_path: absolute('--from', flags.from),
    })
    return await askForState(socketOf(flags), request)
  })
}

/** A result whose VM was not provably wiped is no success, whatever the tool said. */
const wipeFailure = (response: HelperResponse): WireError | undefined =>
  response.kind === 'exec_response' ? response.reset?.error : undefined

type Outcome = { response: HelperResponse; code: number; failure: WireError | undefined }

async function askForState(socket: string, request: HelperRequest): Promise<Outcome> {
  const response = await ask(socket, request, STATE_MS)
  const error: WireError | undefined = 'error' in response ? response.error : undefined
  const timedOut = error?.code === 'TIMEOUT' || error?.code === 'RESET_VERIFICATION_TIMEOUT'
  const code = error === undefined ? EXIT.ok : timedOut ? EXIT.timedOut : EXIT.vmLifecycle
  return { response, code, failure: error }
}

/** Prints what came, or what went wrong, as one JSON line; resolves with the exit code. */
async function printed(run: () => Promise<Outcome>): Promise<number> {
  try {
    const { response, code, failure } = await run()
    process.stdout.write(JSON.stringify(response) + '\n')
    if (failure !== undefined) say(failure.message, failure.next_step)
    return code
  } catch (thrown) {
    const error = BsmError.from(thrown, 'helper')
    process.stdout.write(JSON.stringify({ ok: false, error: error.toWire() }) + '\n')
    say(error.message, error.nextStep)
    return exitCodeFor(error.code)
  }
}

/** Words for people: on stderr, never on stdout (§1). */
const say = (message: string, nextStep: string | undefined): void =>
  void process.stderr.write(`${message} ${nextStep ?? ''}\n`)

async function ask(path: string, request: HelperRequest, ms: number): Promise<HelperResponse> {
  const distrust = distrustOfSocket(path)
  if (distrust !== null)
    throw new BsmError('GUEST_UNREACHABLE', 'helper', `No helper of yours answers there: ${distrust}`, {
      nextStep: 'Start one in a directory of yours alone: bsm-qemu-helper boot … --socket PATH',
    })
  const socket = connect(path)
  const answered = deferred<HelperResponse>()
  const connected = deferred<null>()
  socket.once('connect', () => {
    connected.resolve(null)
    socket.write(JSON.stringify(request) + '\n')
  })
  socket.once('error', (cause) => {
    connected.reject(noHelper(path, cause))
    answered.reject(noHelper(path, cause))
  })
  socket.once('close', () => answered.reject(noHelper(path)))
  const lines = new LineSplitter()
  socket.on('data', (chunk: Buffer) => {
    const line = lines.push(chunk)[0]
    if (line?.kind !== 'line') return
    try {
      answered.resolve(HelperResponse.parse(parseStrictJson(line.text)))
    } catch (cause) {
      answered.reject(
        new BsmError('INTERNAL_BUG', 'helper', 'The helper answered with something else than a response.', {
          cause,
        }),
      )
    }
  })
  try {
    await within(CONNECT_MS, connected.promise, () => noHelper(path))
    return await within(
      ms,
      answered.promise,
      () =>
        new BsmError('TIMEOUT', 'helper', `The helper did not answer within ${ms} ms.`, {
          nextStep: 'Look at the helper; it may have to be started again.',
        }),
    )
  } finally {
    socket.destroy()
  }
}

const noHelper = (path: string, cause?: unknown): BsmError =>
  new BsmError('GUEST_UNREACHABLE', 'helper', `No helper answers on ${path}.`, {
    nextStep: 'Start one: bsm-qemu-helper boot … --socket PATH',
    ...(cause === undefined ? {} : { cause }),
  })

const badUsage = (message: string, nextStep: string): BsmError =>
  new BsmError('BAD_REQUEST', 'agent', message, { nextStep })

function checked(request: unknown): HelperRequest {
  const parsed = HelperRequest.safeParse(request)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw badUsage(
    `${issue?.path.join('.') ?? 'request'}: ${issue?.message ?? 'not well formed'}`,
    'See --help.',
  )
}

function parseParams(text: string): unknown {
  try {
    return parseStrictJson(text)
  } catch {
    throw badUsage('--params is not JSON.', `Give a JSON object: --params '{"text":"hello"}'`)
  }
}

function absolute(option: string, path: string | undefined): string {
  if (path !== undefined && isAbsolute(path)) return path
  throw badUsage(`${option} needs an absolute path.`, `Give ${option} and an absolute path.`)
}

const socketOf = (flags: { socket?: string }): string => flags.socket ?? defaultSocketPath()
