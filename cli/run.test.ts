import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { execResponse, outputEvent, type Script } from '../client/scripted-server.ts'
import { report, snapshot } from '../core/testing/snapshot.ts'
import { runScripted } from './testing/run-scripted.ts'
import type { AppSnapshot } from '../core/protocol/index.ts'

const APP_COMMANDS = [
  ['status'],
  ['exec', 'echo'],
  ['reset'],
  ['verify'],
  ['clients', 'list'],
  ['clients', 'add', 'a'],
  ['clients', 'revoke', 'a'],
  ['open'],
  ['audit', 'verify'],
  ['evidence', 'verify', '7f3b3f0e-55f4-4b51-8f0b-0d5f8f3c8a11'],
  ['down'],
]
const ALL_COMMANDS = [...APP_COMMANDS, ['up'], ['recover'], ['doctor']]

/** An app that runs every dispatch to the given end. */
const app =
  (exec: object = {}, live?: string, state: AppSnapshot = snapshot()): Script =>
  (request, say) => {
    const { request_id } = request
    if (request.kind === 'subscribe') say({ kind: 'subscribe_response', request_id, ok: true })
    if (request.kind === 'status') say({ kind: 'status_response', request_id, snapshot: state })
    if (request.kind === 'recover') say({ kind: 'recover_response', request_id, ok: true })
    if (request.kind !== 'exec') return
    if (live !== undefined) say(outputEvent(request.command_id, live))
    say(execResponse(request, exec))
  }

describe('the command line', () => {
  it.each(ALL_COMMANDS)('explains %s %s with an example and takes --json', async (...command) => {
    const ran = await runScripted([...command.slice(0, 2).filter((word) => word !== 'echo'), '--help'])
    expect(ran.code).toBe(0)
    expect(ran.out).toMatch(/Examples?:\n {2}(\S+=\$\()?bsm /)
    expect(ran.out).toContain('--json')
    expect(ran.out.split('\n').filter((line) => line.length > 80)).toEqual([])
  })

  it.each(APP_COMMANDS)('ends with 3 and says how to start when no app runs: %s %s', async (...command) => {
    const ran = await runScripted(command.filter(Boolean))
    expect(ran).toMatchObject({ code: 3, out: '' })
    expect(ran.err).toMatch(
      /^bsm: no app is running \(VM_LIFECYCLE_ERROR, app\)\nnext: start it with `npm start`.+\n$/,
    )
  })

  it('says the same as JSON when asked to', async () => {
    const ran = await runScripted(['status', '--json'])
    expect(ran).toMatchObject({ code: 3, err: '' })
    expect(JSON.parse(ran.out)).toMatchObject({
      error: { layer: 'app', next_step: expect.any(String) as string },
    })
  })

  it.each([
    ['an unknown command', ['frobnicate']],
    ['an unknown option', ['status', '--frobnicate']],
    ['no command', []],
    ['a missing argument', ['exec']],
    ['a deadline out of range', ['exec', 'echo', '--deadline-ms', '99']],
    ['parameters that are no JSON', ['exec', 'echo', '--params', '{']],
    ['parameters that are no object', ['exec', 'echo', '--params', '[1]']],
    ['a variable without a value', ['exec', 'echo', '--env', 'A']],
    ['parameters twice', ['exec', 'sh', '--params', '{}', '--', 'ls']],
    ['a pair without a guest path', ['exec', 'sh', '--file-in', 'x']],
    ['a command id that is none', ['evidence', 'verify', 'x']],
    ['recover without a reason', ['recover']],
    ['recover without a terminal', ['recover', '--reason', 'because']],
  ])('ends with 2 for %s', async (_what, args) => {
    const ran = await runScripted(args, { app: app() })
    expect(ran.code).toBe(2)
    expect(ran.err).not.toBe('')
    expect(ran.err).not.toContain('    at ')
  })

  it('authenticates with the token of the state directory', async () => {
    const ran = await runScripted(['status'], { app: app() })
    expect(ran.asked[0]).toMatchObject({ kind: 'hello', token: 'the-token', client: 'cli' })
  })
})

describe('exec', () => {
  it('prints output, then the verdict of the reset on stderr, and ends with the code of the tool', async () => {
    const ran = await runScripted(['exec', 'echo', '--params', '{"text":"hi"}'], {
      app: app({ exit_code: 7, stdout: 'live', stdout_bytes: 4 }, 'live'),
    })
    expect(ran).toMatchObject({ code: 7, out: 'live' })
    expect(ran.err).toMatch(
      /^reset: wiped and verified in 12 ms · fs_hash .* ✓ · open_fd_count 20 ✓ · .*running ✓\n$/,
    )
    expect(ran.asked.at(-1)).toMatchObject({ tool: 'echo', params: { text: 'hi' }, deadline_ms: 60_000 })
  })

  it.each([
    ['at the deadline', { exit_code: 137, error: { code: 'SANDBOX_TOOL_TIMEOUT', message: 'm' } }, 124],
    ['when the sandbox failed', { exit_code: 254, error: { code: 'GUEST_UNREACHABLE', message: 'm' } }, 125],
    ['for an unknown tool', { exit_code: 127, error: { code: 'TOOL_NOT_REGISTERED', message: 'm' } }, 127],
    ['when cancelled', { exit_code: 137, error: { code: 'CANCELLED', message: 'm' } }, 130],
    ['when nothing was wiped', { exit_code: 0, sandbox_reset_state: null }, 125],
  ])('has its code %s', async (_when, response, code) => {
    expect((await runScripted(['exec', 'echo'], { app: app(response) })).code).toBe(code)
  })

  it('does not call a dispatch good whose reset was not verified', async () => {
    const response = execResponse({ kind: 'exec', request_id: '', command_id: '' })
    const state = { ...response.sandbox_reset_state, verification_passed: false }
    const ran = await runScripted(['exec', 'echo'], { app: app({ sandbox_reset_state: state }) })
    expect(ran.code).toBe(125)
    expect(ran.err).toContain('NOT VERIFIED')
  })

  it('prints the whole response as JSON', async () => {
    const ran = await runScripted(['exec', 'echo', '--json'], { app: app({ stdout: '\u001b[2J' }) })
    expect(ran.err).toBe('')
    expect(ran.out).not.toContain('\u001b')
    expect(JSON.parse(ran.out)).toMatchObject({
      kind: 'exec_response',
      stdout: '\u001b[2J',
      sandbox_reset_state: { verification_passed: true },
    })
  })

  it('shows control characters on a terminal instead of obeying them', async () => {
    const hostile = 'a\u001b[2J\u202e'
    const script = app({ stdout: hostile, stdout_bytes: Buffer.byteLength(hostile) }, hostile)
    expect((await runScripted(['exec', 'echo'], { app: script, terminal: true })).out).toBe(
      'a\\x1b[2J\\u{202e}\n',
    )
    expect((await runScripted(['exec', 'echo'], { app: script })).out).toBe(hostile)
    expect((await runScripted(['exec', 'echo', '--raw'], { app: script, terminal: true })).out).toContain(
      hostile,
    )
  })

  it('shows the output of the response when no event brought it', async () => {
    expect((await runScripted(['exec', 'echo'], { app: app() })).out).toBe('hello\n')
  })

  it('says when live output has a hole', async () => {
    const ran = await runScripted(['exec', 'echo'], { app: app({ stdout_bytes: 10 }, 'half') })
    expect(ran.err).toContain('6 bytes of live stdout were missed')
  })

  it('takes trailing words for the one required text parameter', async () => {
    const ran = await runScripted(['exec', 'sh', '--', 'ls', '-la', '/'], { app: app() })
    expect(ran.asked.at(-1)).toMatchObject({ params: { command: 'ls -la /' } })
  })

  it.each([
    ['fs.write', 'no single required text parameter'],
    ['nope', 'there are: sh, fs.write'],
  ])('refuses words for %s', async (tool, sentence) => {
    const ran = await runScripted(['exec', tool, '--', 'x'], { app: app() })
    expect(ran.code).toBe(2)
    expect(ran.err).toContain(sentence)
  })

  it('carries files, stdin, directory and environment', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'bsm-cli-'))
    try {
      await writeFile(join(folder, 'in:put'), 'data', { mode: 0o750 })
      const args = [
        'exec',
        'sh',
        '--file-in',
        `${join(folder, 'in:put')}:/tmp/in`,
        '--cwd',
        '/tmp',
        '--env',
        'A=b=c',
      ]
      const files = [{ path: '/tmp/out', mode: 0o640, data_b64: 'b3V0' }]
      const ran = await runScripted(
        [...args, '--file-out', `/tmp/out:${join(folder, 'out')}`, '--stdin', '-'],
        { app: app({ files }), stdin: 'typed' },
      )
      expect(ran.code).toBe(0)
      expect(ran.asked.at(-1)).toMatchObject({
        files_in: [{ path: '/tmp/in', mode: 0o750, data_b64: 'ZGF0YQ==' }],
        files_out: ['/tmp/out'],
        cwd: '/tmp',
        env: { A: 'b=c' },
        stdin_b64: 'dHlwZWQ=',
      })
      expect(await readFile(join(folder, 'out'), 'utf8')).toBe('out')
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('does not end well when a file did not come back', async () => {
    const files = [{ path: '/tmp/out', error: 'no such file' }]
    const ran = await runScripted(['exec', 'sh', '--file-out', '/tmp/out:/nonexistent/out'], {
      app: app({ files }),
    })
    expect(ran.code).toBe(125)
    expect(ran.err).toContain('/tmp/out: no such file')
  })

  it('names a file that cannot be sent', async () => {
    const ran = await runScripted(['exec', 'sh', '--file-in', '/nonexistent:/x'], { app: app() })
    expect(ran.err).toContain('/nonexistent cannot be read')
    expect(ran.asked.some((request) => request.kind === 'exec')).toBe(false)
  })
})

describe('a group without its verb', () => {
  const answering =
    (kind: string, fields: object): Script =>
    (request, say) =>
      say({ ...fields, kind, request_id: request.request_id })

  it('lists clients', async () => {
    const script = answering('clients_response', { clients: [] })
    const ran = await runScripted(['clients', '--json'], { app: script })
    expect(JSON.parse(ran.out)).toEqual({ clients: [] })
    expect((await runScripted(['clients', 'frobnicate'], { app: script })).code).toBe(2)
  })

  it('verifies the audit log', async () => {
    const verdict = { ok: true, entries: 1, head: null, finding: 'none', message: 'All is well.' }
    const ran = await runScripted(['audit', '--json'], {
      app: answering('audit_verify_response', { verdict }),
    })
    expect(JSON.parse(ran.out)).toMatchObject({ ok: true })
  })

  it('says that evidence needs an id', async () => {
    const ran = await runScripted(['evidence'], { app: app() })
    expect(ran.code).toBe(2)
    expect(ran.err).toContain("missing required argument 'command-id'")
  })
})

describe('evidence verify', () => {
  it('ends with 1 when there is no chain', async () => {
    const error = { code: 'EVIDENCE_GAP', message: 'There is no chain.', layer: 'app' }
    const script: Script = ({ request_id }, say) => say({ kind: 'error_response', request_id, error })
    const id = '7f3b3f0e-55f4-4b51-8f0b-0d5f8f3c8a11'
    expect((await runScripted(['evidence', 'verify', id], { app: script })).code).toBe(1)
  })
})

describe('bsm mcp', () => {
  it.each([
    [['mcp', '--json'], '--json goes with --print-config'],
    [['mcp', '--client', 'a/b'], '--client takes the name'],
    [['mcp', '--print-config', 'nope'], 'Allowed choices are claude-desktop'],
  ])('refuses %j with a sentence and its own help', async (args, sentence) => {
    const ran = await runScripted(args)
    expect(ran).toMatchObject({ code: 2 })
    expect(ran.err + ran.out).toContain(sentence)
    expect(ran.err + ran.out).toContain('see `bsm mcp --help`')
  })

  it('prints a configuration without an app, and what is still to be done', async () => {
    const ran = await runScripted(['mcp', '--print-config', 'vscode'])
    expect(JSON.parse(ran.out)).toMatchObject({ servers: { 'brainstorm-sandbox': { type: 'stdio' } } })
    expect(ran.err).toMatch(/^next: .*clients add vscode --save$/m)
    const json = await runScripted(['mcp', '--print-config', 'codex', '--json'])
    expect(JSON.parse(json.out)).toMatchObject({ client: 'codex', format: 'toml', token_kept: false })
  })
})

describe('a token that is kept', () => {
  const added =
    (token: string): Script =>
    ({ request_id }, say) =>
      say({ kind: 'clients_response', request_id, clients: [], token })

  it('is not printed', async () => {
    const ran = await runScripted(['clients', 'add', 'robot', '--save'], { app: added('bsm_secret') })
    expect(ran.code, ran.err).toBe(0)
    expect(ran.out + ran.err).not.toContain('bsm_secret')
    expect(ran.out).toContain('robot.token')
  })
})

describe('up beside a running app', () => {
  it('joins it', async () => {
    const ran = await runScripted(['up'], { app: app() })
    expect(ran).toMatchObject({ code: 0 })
    expect(ran.out).toContain('is ready')
  })

  it.each([
    [['--image', 'python', '--cpus', '2'], '--image and --cpus'],
    [['--no-ui'], '--no-ui'],
  ])('refuses what counts only at a start: %s', async (options, named) => {
    const ran = await runScripted(['up', ...options], { app: app() })
    expect(ran).toMatchObject({ code: 2, out: '' })
    expect(ran.err).toContain(named)
    expect(ran.err).toContain('bsm down')
  })
})

describe('status', () => {
  it('says whose time it is that a standby under way shows', async () => {
    const { helper } = snapshot()
    const textOf = async (state: 'preparing' | 'ready') => {
      const standby = { state, prepare_ms: 1_500, since: '2026-01-02T03:04:05.000Z' }
      const shown = snapshot({ helper: helper === null ? null : { ...helper, standby } })
      return (await runScripted(['status'], { app: app({}, undefined, shown) })).out
    }
    expect(await textOf('preparing')).toContain('preparing; the last one took 1.5 s')
    expect(await textOf('ready')).toContain('ready, prepared in 1.5 s')
  })

  it('shows state, VM, channels, reset and dispatches, and nothing that a terminal obeys', async () => {
    const { out, code } = await runScripted(['status'], { app: app(), terminal: true })
    expect(code).toBe(0)
    for (const fact of [
      'ready',
      'qemu, tcg',
      'fast_snapshot in 412 ms',
      'cut\\x1b[2J off',
      'load 120 ms*',
      'agent\\u{202e}',
    ])
      expect(out).toContain(fact)
    expect(out).not.toContain('\u001b')
  })

  it('says why a start was slow', async () => {
    const { helper } = snapshot()
    const cold = snapshot({ helper: helper && { ...helper, cold_boot_reason: 'The kernel changed.' } })
    const { out } = await runScripted(['status'], { app: app({}, undefined, cold) })
    expect(out).toMatch(/booted from cold +The kernel changed\./)
  })

  it('is the snapshot as JSON', async () => {
    const ran = await runScripted(['status', '--json'], { app: app() })
    expect(JSON.parse(ran.out)).toEqual(snapshot())
  })
})

describe('reset and verify', () => {
  const answering =
    (kind: string, fields: object): Script =>
    (request, say) =>
      say({ ...fields, kind, request_id: request.request_id })

  it('ends with 0 for a verified reset and 68 for a divergence', async () => {
    const good = await runScripted(['reset'], { app: answering('reset_response', report()) })
    expect(good).toMatchObject({ code: 0 })
    expect(good.out).toContain('wiped and verified')
    const lie = report({ verification_passed: false, open_fd_count: 23, failed: ['open_fd_count'] })
    const bad = await runScripted(['reset'], { app: answering('reset_response', lie) })
    expect(bad.code).toBe(68)
    expect(bad.out).toContain('open_fd_count 23, expected 20 ✗')
  })

  it('ends with 68 when a source disagrees', async () => {
    const lie = report({ vmm_api_state: 'paused' })
    const ran = await runScripted(['verify'], { app: answering('verify_response', lie) })
    expect(ran.code).toBe(68)
  })

  it('calls a request that the app refuses as such a wrong command line', async () => {
    const error = { code: 'BAD_REQUEST', message: 'not so', layer: 'app' }
    expect((await runScripted(['reset'], { app: answering('error_response', { error }) })).code).toBe(2)
  })

  it('passes an error of the app on, with its code', async () => {
    const error = { code: 'DEGRADED', message: 'dispatches are refused', layer: 'app', next_step: 'recover' }
    const ran = await runScripted(['reset'], { app: answering('error_response', { error }) })
    expect(ran).toMatchObject({
      code: 68,
      err: 'bsm: dispatches are refused (DEGRADED, app)\nnext: recover\n',
    })
  })
})

describe('recover', () => {
  const degraded = snapshot({
    state: 'degraded',
    degraded: {
      since: '2026-01-02T03:04:05.000Z',
      code: 'RESET_VERIFICATION_DIVERGENCE',
      sources: ['fs_hash'],
      message: 'the disk is not the disk of the image',
      report: report({ verification_passed: false, failed: ['fs_hash'], fs_hash_match: false }),
    },
  })
  const args = ['recover', '--reason', 'looked at it']

  it('shows what diverged and goes on when the word is typed', async () => {
    const ran = await runScripted(args, {
      app: app({}, undefined, degraded),
      terminal: true,
      stdin: 'recover\n',
    })
    expect(ran.code).toBe(0)
    expect(ran.err).toContain('the disk is not the disk of the image')
    expect(ran.err).toContain('fs_hash')
    expect(ran.asked.at(-1)).toMatchObject({ kind: 'recover', reason: 'looked at it' })
  })

  it.each(['y\n', 'Recover\n', ''])('does nothing when %j is typed', async (stdin) => {
    const ran = await runScripted(args, { app: app({}, undefined, degraded), terminal: true, stdin })
    expect(ran.code).toBe(1)
    expect(ran.asked.some((request) => request.kind === 'recover')).toBe(false)
  })
})
