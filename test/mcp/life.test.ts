import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { CONFIG_CLIENTS } from '../../cli/client-config.ts'
import { StatusResult } from '../../cli/mcp/schemas.ts'
import { bsm } from '../cli/bsm.ts'
import { AppProcess, controlOf, standbyReady } from '../support/app.ts'
import { within } from '../support/deadline.ts'
import { freshImage, repository, type GuestImage } from '../support/image.ts'
import { LyingQemu } from '../support/lying-qemu.ts'
import { Scratch } from '../support/scratch.ts'
import { VM_TEST_MS } from '../vm/bench.ts'
import { addClient, McpSession } from './session.ts'

/** `bsm mcp` beside an app that comes, goes, lies, and is not there. */
let image: GuestImage
beforeAll(async () => {
  image = await freshImage('base', 'test')
})

describe('beside an app that comes and goes', () => {
  const scratch = new Scratch('mcplife')
  const up = async () => (await AppProcess.start(scratch, image)).ready()
  let app: AppProcess
  let session: McpSession

  beforeAll(async () => {
    session = await McpSession.start(scratch, ['--client', 'robot'])
  })
  afterAll(async () => {
    await session?.[Symbol.asyncDispose]()
    await app?.dispose()
    scratch.remove()
  })

  it('says what to run when there is no token, and when there is no app', async () => {
    const noToken = await session.call('sandbox_run', { command: 'true' })
    expect(noToken.isError).toBe(true)
    expect(noToken.structuredContent).toMatchObject({
      exit_code: null,
      reset: null,
      error: { code: 'UNAUTHORIZED', next_step: expect.stringMatching(/bsm\.mjs clients add robot --save$/) },
    })
    app = await up()
    await addClient(scratch, 'robot')
    await app.kill('SIGTERM')
    for (const tool of ['sandbox_run', 'exec_start', 'sandbox_status', 'last_reset']) {
      const call = await session.call(
        tool,
        tool.endsWith('_run') || tool === 'exec_start' ? { command: 'true' } : {},
      )
      expect(call.isError, tool).toBe(true)
      const { error } = call.structuredContent as { error: { message: string; next_step: string } }
      expect(error.message, tool).toContain('no app is running')
      expect(error.next_step, tool).toMatch(/^start it: \/.*bsm\.mjs up --detach$/)
    }
  })

  it('finds the app again after a restart, without being restarted itself', async () => {
    app = await up()
    expect((await session.run({ tool: 'whoami' })).reset?.verified).toBe(true)
  })

  it('starts from a configuration as it was pasted, whichever client it is for', async () => {
    const printed = await Promise.all(
      CONFIG_CLIENTS.map(async (name) => {
        const ran = await bsm(scratch, ['mcp', '--print-config', name, '--client', 'robot'])
        expect(ran.stderr, name).toMatch(/^goes into \S/)
        return name === 'codex' ? fromToml(ran.stdout) : fromJson(ran.stdout)
      }),
    )
    const [server] = printed
    for (const each of printed) expect(each).toEqual(server)
    // What a client on a desktop has, and no more.
    const bare = { HOME: scratch.home, PATH: '/usr/bin:/bin' }
    const pasted = {
      command: server?.command ?? '',
      args: server?.args ?? [],
      env: { ...bare, ...server?.env },
    }
    await using session = await McpSession.run(pasted, '/')
    const status = StatusResult.parse((await session.call('sandbox_status')).structuredContent)
    expect(status.state).toMatch(/ready|resetting/)
  })

  it('says so when its token was revoked, and takes a new one without a restart', async () => {
    expect((await session.run({ tool: 'whoami' })).exit_code).toBe(0)
    expect((await bsm(scratch, ['clients', 'revoke', 'robot'])).code).toBe(0)
    expect(scratch.list().filter(({ path }) => path.endsWith('.token'))).toMatchObject([
      { path: 'state/control.token' },
    ])
    const refused = await session.call('sandbox_run', { command: 'true' })
    expect(refused.structuredContent).toMatchObject({ error: { code: 'UNAUTHORIZED' } })
    await addClient(scratch, 'robot')
    expect((await session.run({ tool: 'whoami' })).exit_code).toBe(0)
  })

  it('reports what was cut off when the app ended', async () => {
    const started = await session.call('exec_start', { command: 'echo on; sleep 600' })
    const { dispatch_id } = started.structuredContent as { dispatch_id: string }
    const poll = () => session.call('exec_poll', { dispatch_id })
    while ((await poll()).structuredContent?.next_cursor === 0);
    await app.kill('SIGTERM')
    let call = await poll()
    while (call.structuredContent?.state !== 'done') call = await poll()
    expect(call.isError).toBe(true)
    expect(call.structuredContent).toMatchObject({
      error: { code: expect.stringMatching(/^(RESET_FAILED|VM_LIFECYCLE_ERROR)$/) },
    })
  })

  it('starts the app when it was told to', async () => {
    await using starting = await McpSession.start(scratch, ['--client', 'robot', '--start'])
    expect((await starting.run({ tool: 'whoami' })).guest_output.stdout.text).toBe('sandbox\n')
    expect(starting.stderr).toContain('starting it')
    expect((await bsm(scratch, ['down'])).code).toBe(0)
  })
})

const ServerConfig = z.object({
  command: z.string(),
  args: z.array(z.string()),
  env: z.record(z.string(), z.string()).default({}),
})
type ServerConfig = z.infer<typeof ServerConfig>

function fromJson(text: string): ServerConfig {
  const file = z.record(z.string(), z.object({ 'brainstorm-sandbox': ServerConfig }))
  const [servers] = Object.values(file.parse(JSON.parse(text)))
  return ServerConfig.parse(servers?.['brainstorm-sandbox'])
}

/** Enough TOML for what we print: tables, and values that are JSON as well. */
function fromToml(text: string): ServerConfig {
  const tables: Record<string, Record<string, unknown>> = {}
  let table: Record<string, unknown> = {}
  for (const line of text.split('\n')) {
    const head = /^\[(.+)\]$/.exec(line)?.[1]
    const [, key, value] = /^(\w+) = (.+)$/.exec(line) ?? []
    if (head !== undefined) tables[head] = table = {}
    else if (key !== undefined) table[key] = JSON.parse(value ?? '')
  }
  const server = tables['mcp_servers.brainstorm-sandbox']
  return ServerConfig.parse({ ...server, env: tables['mcp_servers.brainstorm-sandbox.env'] })
}

describe('beside a hypervisor that lies', () => {
  it(
    'a wipe that was not verified is an error with the source that disagreed; then DEGRADED, with who can help',
    async () => {
      const scratch = new Scratch('mcplie')
      const qemu = new LyingQemu()
      const app = await AppProcess.start(scratch, image, { env: qemu.environment })
      try {
        await app.ready()
        await addClient(scratch, 'robot')
        await using session = await McpSession.start(scratch, ['--client', 'robot'])
        await using control = await controlOf(scratch)
        await standbyReady(control)
        qemu.tell('lie', 'paused')
        const lied = await session.call('sandbox_run', { command: 'echo ran' })
        expect(lied.isError).toBe(true)
        expect(lied.structuredContent).toMatchObject({
          exit_code: 0,
          reset: { verified: false, sources: { vmm_api_state: { agrees: false, value: 'paused' } } },
          error: { code: 'RESET_VERIFICATION_DIVERGENCE' },
        })
        const after = await session.call('sandbox_run', { command: 'echo again' })
        expect(after.structuredContent).toMatchObject({
          exit_code: null,
          reset: null,
          error: { code: 'DEGRADED', next_step: expect.stringContaining('bsm recover') },
        })
        const status = StatusResult.parse((await session.call('sandbox_status')).structuredContent)
        expect(status).toMatchObject({ state: 'degraded', degraded: { sources: ['vmm_api_state'] } })
        const last = await session.call('last_reset')
        expect(last.structuredContent).toMatchObject({
          reset: { verified: false, failed: ['vmm_api_state'] },
        })
      } finally {
        await app.dispose()
        qemu.remove()
        scratch.remove()
      }
    },
    VM_TEST_MS,
  )
})

describe('on a stdin of garbage', () => {
  it('leaves out what is no message, however long or deep, and answers what is', async () => {
    const scratch = new Scratch('mcpjunk')
    const child = spawn(process.execPath, [join(repository, 'build/bsm.mjs'), 'mcp'], {
      env: scratch.environment(),
      stdio: 'pipe',
    })
    let stderr = ''
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    const exit = new Promise<number | null>((resolve) => child.once('close', resolve))
    try {
      const answer = new Promise<string>((resolve) => {
        let text = ''
        child.stdout.on('data', (chunk: Buffer) => {
          text += chunk.toString()
          if (text.includes('\n')) resolve(text)
        })
      })
      const request = {
        jsonrpc: '2.0',
        id: 1,
        method: 'initialize',
        params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'x', version: '1' } },
      }
      child.stdin.write('garbage\n\n{"half":\n[]\n{"jsonrpc":"2.0"}\n\u0000\u0001\n')
      child.stdin.write(`${'['.repeat(100_000)}\n`)
      child.stdin.write(Buffer.concat([Buffer.alloc(25 * 1024 * 1024, 'x'), Buffer.from([0xff, 0x0a])]))
      child.stdin.write(`${JSON.stringify(request)}\n`)
      expect(JSON.parse(await within(60_000, `an answer: ${stderr}`, answer))).toMatchObject({
        id: 1,
        result: { serverInfo: { name: 'brainstorm-sandbox' }, protocolVersion: '2025-06-18' },
      })
      expect(stderr).toContain('longer than')
      expect(stderr).toContain('nested deeper')
      child.stdin.end()
      expect(await within(30_000, 'its end', exit)).toBe(0)
    } finally {
      child.kill('SIGKILL')
      rmSync(scratch.root, { recursive: true, force: true })
    }
  })
})
