import { describe, expect, it } from 'vitest'
import {
  SandboxBootError,
  SandboxNotAvailableError,
  SandboxResetDivergenceError,
  SandboxResetError,
  SandboxToolTimeoutError,
} from '../core/protocol/index.ts'
import { AgentSandbox } from './index.ts'
import {
  appSnapshot,
  execResponse,
  ScriptedServer,
  stateEvent,
  type Asked,
  type Script,
} from './scripted-server.ts'

const ID = '7f3b3f0e-55f4-4b51-8f0b-0d5f8f3c8a11'
const call = { command_id: ID, tool: 'echo', params: {}, deadline_ms: 1_000 }

/** An app whose state and answers a test writes down. */
const app =
  (snapshot: object, rest: Script = () => undefined): Script =>
  (request, say, socket) => {
    const { kind, request_id } = request
    if (kind === 'subscribe') say({ kind: 'subscribe_response', request_id, ok: true })
    else if (kind === 'status') say({ kind: 'status_response', request_id, snapshot: appSnapshot(snapshot) })
    else rest(request, say, socket)
  }
const sandboxOf = (server: ScriptedServer) =>
  new AgentSandbox({ token: 't', client: 'tests', socketPath: server.socketPath, timeoutMs: 5_000 })

async function booted(script: Script) {
  const server = await ScriptedServer.start(script)
  const sandbox = sandboxOf(server)
  await sandbox.boot()
  return {
    sandbox,
    async [Symbol.asyncDispose]() {
      await sandbox.shutdown()
      await server[Symbol.asyncDispose]()
    },
  }
}

describe('boot', () => {
  it('waits until the app says that its VM is ready', async () => {
    await using server = await ScriptedServer.start(app({ state: 'starting' }))
    await using sandbox = sandboxOf(server)
    expect(sandbox.state()).toBe('not_booted')
    const boot = sandbox.boot()
    expect(sandbox.state()).toBe('booting')
    while (!server.requests.some(({ kind }) => kind === 'status')) await new Promise((r) => setTimeout(r, 5))
    server.tell(stateEvent({ state: 'ready' }))
    await boot
    expect(sandbox.state()).toBe('ready')
  })

  it('is idempotent, and refuses another configuration', async () => {
    await using up = await booted(app({}))
    await up.sandbox.boot()
    await expect(up.sandbox.boot({ image: 'python' })).rejects.toMatchObject({ code: 'BAD_REQUEST' })
    expect(up.sandbox.state()).toBe('ready')
  })

  it('fails without an app, with a VM that failed, and with another image than it relies on', async () => {
    const nowhere = new AgentSandbox({ token: 't', client: 'c', socketPath: '/nonexistent/s' })
    await expect(nowhere.boot()).rejects.toBeInstanceOf(SandboxNotAvailableError)
    const error = { code: 'BOOT_CONFIG_INVALID', message: 'no kernel', layer: 'helper' }
    await using failed = await ScriptedServer.start(app({ state: 'failed', error }))
    const thrown = await sandboxOf(failed)
      .boot()
      .catch((reason: unknown) => reason)
    expect(thrown).toBeInstanceOf(SandboxBootError)
    expect(thrown).toMatchObject({ code: 'BOOT_CONFIG_INVALID', message: 'no kernel' })
    await using other = await ScriptedServer.start(app({}))
    await expect(sandboxOf(other).boot({ image: 'python' })).rejects.toMatchObject({
      code: 'IMAGE_MISMATCH',
      nextStep: expect.stringContaining('--image python'),
    })
  })
})

describe('executeTool', () => {
  const answering = (fields: object) =>
    booted(app({}, (request: Asked, say) => say(execResponse(request, fields))))
  const thrownBy = async (fields: object): Promise<unknown> => {
    await using up = await answering(fields)
    return await up.sandbox.executeTool(call).catch((reason: unknown) => reason)
  }

  it('returns what a tool did, whatever its exit code', async () => {
    await using up = await answering({ exit_code: 3 })
    expect(await up.sandbox.executeTool(call)).toMatchObject({ exit_code: 3, stdout: 'hello\n' })
  })

  it('throws at the deadline, with the output so far', async () => {
    const error = { code: 'SANDBOX_TOOL_TIMEOUT', message: 'time is up', layer: 'guest' }
    const thrown = await thrownBy({ exit_code: 137, error })
    expect(thrown).toBeInstanceOf(SandboxToolTimeoutError)
    expect(thrown).toMatchObject({ outcome: { stdout: 'hello\n' } })
  })

  it('throws when nothing could run', async () => {
    const error = { code: 'DEGRADED', message: 'refused', layer: 'app' }
    const thrown = await thrownBy({ error, sandbox_reset_state: null })
    expect(thrown).toBeInstanceOf(SandboxNotAvailableError)
    expect(thrown).toMatchObject({ code: 'DEGRADED' })
  })

  it.each([
    ['RESET_VERIFICATION_DIVERGENCE', SandboxResetDivergenceError],
    ['RESET_FAILED', SandboxResetError],
  ])('throws when the wipe after it ended in %s', async (code, Class) => {
    const { sandbox_reset_state } = execResponse({ kind: 'exec', request_id: ID })
    const failed = { ...sandbox_reset_state, verification_passed: false, error: { code, message: 'no' } }
    expect(await thrownBy({ sandbox_reset_state: failed })).toBeInstanceOf(Class)
  })

  it('throws before boot and after shutdown', async () => {
    await using up = await answering({})
    await up.sandbox.shutdown()
    await up.sandbox.shutdown()
    expect(up.sandbox.state()).toBe('not_booted')
    await expect(up.sandbox.executeTool(call)).rejects.toBeInstanceOf(SandboxNotAvailableError)
  })
})

describe('state', () => {
  it.each([
    ['stopped', 'not_booted'],
    ['starting', 'booting'],
    ['dispatching', 'ready'],
    ['resetting', 'resetting'],
    ['degraded', 'failed'],
  ])('of an app that is %s is %s', async (state, expected) => {
    await using server = await ScriptedServer.start(app({}))
    await using sandbox = sandboxOf(server)
    await sandbox.boot()
    server.tell(stateEvent({ state }))
    while (sandbox.state() !== expected) await new Promise((resolve) => setTimeout(resolve, 5))
  })

  it('is not "ready" once the app is not heard from', async () => {
    await using server = await ScriptedServer.start(app({}))
    await using sandbox = sandboxOf(server)
    await sandbox.boot()
    server.hangUp()
    while (sandbox.state() !== 'not_booted') await new Promise((resolve) => setTimeout(resolve, 5))
    await sandbox.boot()
    expect(sandbox.state()).toBe('ready')
  })
})
