import { describe, expect, it } from 'vitest'
import { BsmError, LIMITS } from '../core/protocol/index.ts'
import { AppNotRunningError, outputBytes, Sandbox, type Output } from './index.ts'
import { execResponse, outputEvent, ScriptedServer, type Asked, type Script } from './scripted-server.ts'

const never: Script = () => undefined
const subscribed = (request: Asked) => ({
  kind: 'subscribe_response',
  request_id: request.request_id,
  ok: true,
})
const connect = (server: ScriptedServer, timeoutMs = 5_000) =>
  Sandbox.connect({ token: 't', client: 'tests', socketPath: server.socketPath, timeoutMs })

async function errorOf(promise: Promise<unknown>): Promise<BsmError> {
  const thrown: unknown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!(thrown instanceof BsmError)) throw new Error(`expected a BsmError, got ${String(thrown)}`)
  return thrown
}

describe('connecting', () => {
  it('says that no app is running when nobody listens', async () => {
    const error = await errorOf(Sandbox.connect({ token: 't', client: 'c', socketPath: '/nonexistent/s' }))
    expect(error).toBeInstanceOf(AppNotRunningError)
    expect(error.message).toContain('no app is running')
  })

  it('sends token and name first', async () => {
    await using server = await ScriptedServer.start(never)
    await using _sandbox = await connect(server)
    expect(server.requests[0]).toMatchObject({ kind: 'hello', token: 't', client: 'tests' })
  })

  it('reports a refused token as the app worded it', async () => {
    await using server = await ScriptedServer.start(
      (request, say, socket) => {
        const error = { code: 'UNAUTHORIZED', message: 'this token is not known', next_step: 'ask for one' }
        say({ kind: 'error_response', request_id: request.request_id, error })
        socket.end()
      },
      { hello: 'scripted' },
    )
    const error = await errorOf(connect(server))
    expect(error).toMatchObject({ code: 'UNAUTHORIZED', layer: 'app', nextStep: 'ask for one' })
  })

  it('does not wait for ever for an answer to hello', async () => {
    await using server = await ScriptedServer.start(never, { hello: 'scripted' })
    expect(await errorOf(connect(server, 50))).toMatchObject({ code: 'TIMEOUT' })
  })
})

describe('exec', () => {
  it('sends files, stdin and environment in their wire form and returns the verdict', async () => {
    await using server = await ScriptedServer.start((request, say) => say(execResponse(request)))
    await using sandbox = await connect(server)
    const response = await sandbox.exec(
      'sh',
      { command: 'cat' },
      {
        deadlineMs: 1_000,
        stdin: 'in',
        env: { A: '1' },
        cwd: '/tmp',
        filesIn: [{ path: '/tmp/x', data: 'x', mode: 0o755 }],
        filesOut: ['/tmp/y'],
      },
    )
    expect(server.requests[1]).toMatchObject({
      deadline_ms: 1_000,
      stdin_b64: 'aW4=',
      env: { A: '1' },
      cwd: '/tmp',
      files_in: [{ path: '/tmp/x', mode: 0o755, data_b64: 'eA==' }],
      files_out: ['/tmp/y'],
    })
    expect(response.sandbox_reset_state?.verification_passed).toBe(true)
  })

  it('delivers the output of its own command only', async () => {
    await using server = await ScriptedServer.start((request, say) => {
      if (request.kind === 'subscribe') return say(subscribed(request))
      say(outputEvent('7f3b3f0e-55f4-4b51-8f0b-0d5f8f3c8a11', 'of another'))
      say(outputEvent(request.command_id, 'mine'))
      say(execResponse(request))
    })
    await using sandbox = await connect(server)
    const seen: string[] = []
    const onOutput = ({ data }: Output) => void seen.push(data.toString())
    await Promise.all([sandbox.exec('echo', {}, { onOutput }), sandbox.exec('echo', {}, { onOutput })])
    expect(seen).toEqual(['mine', 'mine'])
    expect(server.requests.filter((request) => request.kind === 'subscribe')).toHaveLength(1)
  })

  it('delivers the output of one right after another', async () => {
    await using server = await ScriptedServer.start((request, say) => {
      if (request.kind === 'subscribe') return say(subscribed(request))
      say(outputEvent(request.command_id, String(request.tool)))
      say(execResponse(request, { stdout_bytes: 1 }))
    })
    await using sandbox = await connect(server)
    const seen: string[] = []
    const onOutput = ({ data }: Output) => void seen.push(data.toString())
    for (const tool of ['a', 'b', 'c']) await sandbox.exec(tool, {}, { onOutput })
    expect(seen).toEqual(['a', 'b', 'c'])
  })

  it('gives the events back when nobody listens, and asks for them again', async () => {
    let listening = 0
    await using server = await ScriptedServer.start((request, say, socket) => {
      if (request.kind !== 'subscribe') return say(execResponse(request, { stdout_bytes: 0 }))
      listening += 1
      socket.once('close', () => (listening -= 1))
      say(subscribed(request))
    })
    await using sandbox = await connect(server)
    for (const round of [1, 2]) {
      await sandbox.exec('echo', {}, { onOutput: () => undefined })
      while (listening > 0) await new Promise((resolve) => setTimeout(resolve, 5))
      expect(server.requests.filter((request) => request.kind === 'subscribe')).toHaveLength(round)
    }
  })

  it('ends when the last of its output is there, though the response was faster', async () => {
    await using server = await ScriptedServer.start((request, say) => {
      if (request.kind === 'subscribe') return say(subscribed(request))
      say(execResponse(request, { stdout_bytes: 4 }))
      setTimeout(() => say(outputEvent(request.command_id, 'late')), 30)
    })
    await using sandbox = await connect(server)
    const seen: string[] = []
    await sandbox.exec('echo', {}, { onOutput: ({ data }) => seen.push(data.toString()) })
    expect(seen).toEqual(['late'])
  })

  it('survives that the app hangs up on the events, as it does on a slow reader', async () => {
    let hangUpOnEvents = () => {}
    await using server = await ScriptedServer.start((request, say, socket) => {
      if (request.kind === 'subscribe') {
        hangUpOnEvents = () => socket.destroy()
        return say(subscribed(request))
      }
      hangUpOnEvents()
      setTimeout(() => say(execResponse(request, { stdout_bytes: 1_000 })), 20)
    })
    await using sandbox = await connect(server)
    const response = await sandbox.exec('echo', {}, { onOutput: () => undefined })
    expect(response.exit_code).toBe(0)
  })

  it('keeps many requests apart whatever the order of their answers', async () => {
    const waiting: (() => void)[] = []
    await using server = await ScriptedServer.start((request, say) => {
      waiting.unshift(() => say(execResponse(request, { stdout: String(request.tool) })))
      if (waiting.length === 3) for (const answer of waiting) answer()
    })
    await using sandbox = await connect(server)
    const responses = await Promise.all(['a', 'b', 'c'].map((tool) => sandbox.exec(tool)))
    expect(responses.map((response) => response.stdout)).toEqual(['a', 'b', 'c'])
  })

  it('returns bytes that are no text unharmed', async () => {
    const bytes = Buffer.from([0xff, 0x00, 0xfe])
    await using server = await ScriptedServer.start((request, say) =>
      say(
        execResponse(request, {
          stdout: bytes.toString('base64'),
          encoding: { stdout: 'base64', stderr: 'utf-8' },
        }),
      ),
    )
    await using sandbox = await connect(server)
    expect(outputBytes(await sandbox.exec('cat'), 'stdout')).toEqual(bytes)
  })

  it('cancels the dispatch in the app when its signal aborts', async () => {
    const abort = new AbortController()
    await using server = await ScriptedServer.start((request, say) => {
      if (request.kind === 'exec') abort.abort('enough')
      if (request.kind === 'cancel') say({ ...request, kind: 'cancel_response', cancelled: true })
    })
    await using sandbox = await connect(server)
    const error = await errorOf(sandbox.exec('sh', {}, { signal: abort.signal }))
    expect(error).toMatchObject({ code: 'CANCELLED', cause: 'enough' })
    const [, exec, cancel] = server.requests
    expect(cancel).toMatchObject({ kind: 'cancel', command_id: exec?.command_id })
  })

  it('times out when the app stays silent past deadline, queue and reset, and cancels', async () => {
    await using server = await ScriptedServer.start((request, say) => {
      if (request.kind === 'cancel') say({ ...request, kind: 'cancel_response', cancelled: true })
    })
    await using sandbox = await connect(server)
    const error = await errorOf(sandbox.exec('sh', {}, { deadlineMs: 100, queueMs: -180_000 }))
    expect(error).toMatchObject({ code: 'TIMEOUT', layer: 'app' })
    expect(server.requests.at(-1)?.kind).toBe('cancel')
  })

  it('refuses files over the limit before anything is sent', async () => {
    await using server = await ScriptedServer.start(never)
    await using sandbox = await connect(server)
    const data = Buffer.alloc(LIMITS.filesBytes + 1)
    expect(await errorOf(sandbox.exec('cat', {}, { filesIn: [{ path: '/x', data }] }))).toMatchObject({
      code: 'BAD_REQUEST',
    })
    expect(server.requests).toHaveLength(1)
  })

  it('refuses a request longer than a line may be', async () => {
    await using server = await ScriptedServer.start(never)
    await using sandbox = await connect(server)
    const text = 'x'.repeat(LIMITS.ndjsonLineBytes)
    expect(await errorOf(sandbox.exec('echo', { text }))).toMatchObject({
      code: 'FRAME_TOO_LARGE',
      layer: 'agent',
    })
  })
})

describe('a request that the app would not even parse', () => {
  it.each([
    ['too deep', Array.from({ length: 70 }).reduce<unknown>((inner) => [inner], 1)],
    ['too many values', Array.from({ length: 100_001 }, (_, i) => i)],
  ])('is refused before it is sent: %s', async (_, value) => {
    await using server = await ScriptedServer.start(never)
    await using sandbox = await connect(server)
    expect(await errorOf(sandbox.exec('echo', { value } as never))).toMatchObject({
      code: 'BAD_REQUEST',
      layer: 'agent',
      message: expect.stringMatching(/nested deeper than 64|more than 100000 values/),
    })
    expect(server.requests).toHaveLength(1)
  })
})

describe('an app that misbehaves', () => {
  it('loses everything in flight with one clear sentence', async () => {
    await using server = await ScriptedServer.start((request, _say, socket) => {
      if (request.tool === 'last') socket.destroy()
    })
    await using sandbox = await connect(server)
    const errors = await Promise.all(['first', 'last'].map((tool) => errorOf(sandbox.exec(tool))))
    for (const error of errors)
      expect(error.message).toBe('the connection to the app was lost before it answered')
  })

  it('is connected to again by the next call', async () => {
    await using server = await ScriptedServer.start((request, say, socket) => {
      if (request.tool === 'fatal') socket.destroy()
      else say(execResponse(request))
    })
    await using sandbox = await connect(server)
    await errorOf(sandbox.exec('fatal'))
    expect((await sandbox.exec('echo')).exit_code).toBe(0)
    expect(server.requests.filter((request) => request.kind === 'hello')).toHaveLength(2)
  })

  it('is left when it sends a line that is not JSON', async () => {
    await using server = await ScriptedServer.start((_request, say) => say('nonsense\n'))
    await using sandbox = await connect(server)
    expect(await errorOf(sandbox.exec('echo'))).toMatchObject({ code: 'FRAME_MALFORMED', layer: 'app' })
  })

  it('is left when it sends a line without end', async () => {
    await using server = await ScriptedServer.start((_request, say) => {
      for (let sent = 0; sent <= LIMITS.ndjsonLineBytes; sent += 1024 * 1024) say('x'.repeat(1024 * 1024))
    })
    await using sandbox = await connect(server)
    expect(await errorOf(sandbox.exec('echo'))).toMatchObject({ code: 'FRAME_TOO_LARGE', layer: 'app' })
  })

  it('fails the one request whose answer is ill-formed, and no other', async () => {
    await using server = await ScriptedServer.start((request, say) =>
      say(execResponse(request, request.tool === 'bad' ? { exit_code: 'zero' } : {})),
    )
    await using sandbox = await connect(server)
    const [bad, good] = await Promise.allSettled([sandbox.exec('bad'), sandbox.exec('good')])
    expect(bad.status).toBe('rejected')
    expect(good.status).toBe('fulfilled')
  })

  it('fails a request answered with another kind', async () => {
    await using server = await ScriptedServer.start((request, say) =>
      say({ kind: 'subscribe_response', request_id: request.request_id, ok: true }),
    )
    await using sandbox = await connect(server)
    expect((await errorOf(sandbox.exec('echo'))).message).toContain(
      'subscribe_response as the answer to exec',
    )
  })

  it('may send events that we do not know', async () => {
    await using server = await ScriptedServer.start((request, say) => {
      if (request.kind === 'subscribe') return say(subscribed(request))
      say({ kind: 'event', event: 'of_the_future', ts: '2030-01-01T00:00:00Z' })
      say(outputEvent(request.command_id, 'known'))
      say(execResponse(request, { stdout_bytes: 5 }))
    })
    await using sandbox = await connect(server)
    const seen: string[] = []
    await sandbox.exec('echo', {}, { onOutput: ({ data }) => seen.push(data.toString()) })
    expect(seen).toEqual(['known'])
  })
})

describe('leaving', () => {
  it('rejects what is in flight and refuses what comes after', async () => {
    await using server = await ScriptedServer.start(never)
    const sandbox = await connect(server)
    const inFlight = errorOf(sandbox.exec('sh'))
    await new Promise((resolve) => setImmediate(resolve))
    await sandbox.close()
    expect(await inFlight).toMatchObject({ code: 'CANCELLED' })
    expect(await errorOf(sandbox.status())).toMatchObject({ code: 'CANCELLED' })
  })

  it('tells a subscriber that the connection ended', async () => {
    await using server = await ScriptedServer.start((request, say) =>
      say({ kind: 'subscribe_response', request_id: request.request_id, ok: true }),
    )
    await using sandbox = await connect(server)
    const reason = new Promise<BsmError>((resolve) => {
      void sandbox.subscribe(() => undefined, resolve)
    })
    while (!server.requests.some((request) => request.kind === 'subscribe'))
      await new Promise((resolve) => setTimeout(resolve, 5))
    await new Promise((resolve) => setTimeout(resolve, 20))
    server.hangUp()
    expect((await reason).message).toContain('connection to the app was lost')
  })
})
