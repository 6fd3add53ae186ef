import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, lstatSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { ExecResponse } from '../../../core/protocol/index.ts'
import { until, within } from '../../support/deadline.ts'
import type { Helper } from '../../support/helper.ts'
import type { Scratch } from '../../support/scratch.ts'
import { group } from '../check.ts'
import type { Context } from '../context.ts'
import { REQUIRED, hasKeys, sentence, stillServes } from '../expect.ts'

const check = group('socket', '§1', 'own-vm')

/** Where the contract puts the socket when nothing is said. */
const defaultSocket = (scratch: Scratch) => join(scratch.runtimeDir, 'bsm-vz-helper.sock')

/** A helper that was started without --socket, so that it listens at the default place. */
async function listening(context: Context): Promise<Helper> {
  const scratch = await context.golden()
  const { image } = context
  const helper = context.start(
    [
      ...['boot', '--kernel', image.kernel, '--initrd', image.initrd, '--rootfs', image.rootfs],
      ...['--cmdline', image.manifest.cmdline, '--cpus', '1', '--memory-mib', '256'],
      ...['--state-dir', scratch.stateDir],
    ],
    scratch,
  )
  await helper.ready()
  return helper
}

const execArguments = (tool: string, params: Record<string, unknown>, deadlineMs = 20_000) => [
  ...['exec', '--command-id', randomUUID(), '--tool', tool],
  ...['--params', JSON.stringify(params), '--deadline-ms', String(deadlineMs)],
]

/** Sends bytes over the socket and gives what came back until it closed. */
async function talk(path: string, bytes: string): Promise<string> {
  const socket = connect(path)
  let answer = ''
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString('utf8')))
  await within(10_000, 'connection', once(socket, 'connect'))
  socket.write(bytes)
  await within(40_000, 'end of the connection', once(socket, 'close'))
  return answer
}

export const socketChecks = [
  check('default-place', 'without --socket it listens below XDG_RUNTIME_DIR', async (context) => {
    const { scratch } = await listening(context)
    assert.ok(lstatSync(defaultSocket(scratch)).isSocket())
  }),
  check('modes', 'the socket is 0600 in a 0700 directory', async (context) => {
    const { scratch } = await listening(context)
    const path = defaultSocket(scratch)
    assert.equal(lstatSync(path).mode & 0o777, 0o600)
    assert.equal(statSync(dirname(path)).mode & 0o777, 0o700)
  }),
  check(
    'tmpdir-place',
    'without XDG_RUNTIME_DIR it listens below TMPDIR/bsm-UID, mode 0700',
    async (context) => {
      const scratch = await context.golden()
      const { image } = context
      const helper = context.start(
        [
          ...['boot', '--kernel', image.kernel, '--initrd', image.initrd, '--rootfs', image.rootfs],
          ...['--cmdline', image.manifest.cmdline, '--cpus', '1', '--memory-mib', '256'],
          ...['--state-dir', scratch.stateDir],
        ],
        scratch,
        { XDG_RUNTIME_DIR: '' },
      )
      await helper.ready()
      const dir = join(scratch.tempDir, `bsm-${process.getuid?.() ?? 0}`)
      assert.ok(lstatSync(join(dir, 'bsm-vz-helper.sock')).isSocket())
      assert.equal(statSync(dir).mode & 0o777, 0o700)
    },
  ),
  check('none', '--socket none opens none', async (context) => {
    const helper = await context.own()
    assert.deepEqual(
      helper.scratch.list().filter(({ kind, path }) => kind === 'socket' && path.includes('bsm-vz-helper')),
      [],
    )
    assert.equal((await context.command(execArguments('echo', { text: 'x' }), helper.scratch)).code, 67)
  }),
  check('given-place', '--socket PATH is where it listens', async (context) => {
    const scratch = await context.golden()
    const socket = join(scratch.runtimeDir, 'here.sock')
    await context.boot(scratch, { socket }).ready()
    assert.ok(lstatSync(socket).isSocket())
    assert.equal(lstatSync(socket).mode & 0o777, 0o600)
  }),
  check('exec', 'one-shot exec prints one exec_response and ends with 0', async (context) => {
    const { scratch } = await listening(context)
    const { code, stdout, stderr } = await context.command(
      execArguments('echo', { text: 'one shot' }),
      scratch,
    )
    assert.equal(code, 0, stderr)
    const lines = stdout.trimEnd().split('\n')
    assert.equal(lines.length, 1)
    const value: unknown = JSON.parse(lines[0] ?? '')
    hasKeys(value, ...REQUIRED.exec_response)
    assert.equal(ExecResponse.parse(value).stdout.trimEnd(), 'one shot')
  }),
  check(
    'exec-failed-tool',
    'one-shot exec of a tool that fails ends with 0: a result exists',
    async (context) => {
      const { scratch } = await listening(context)
      const { code, stdout } = await context.command(execArguments('sh', { command: 'exit 5' }), scratch)
      assert.equal(code, 0)
      assert.equal(ExecResponse.parse(JSON.parse(stdout)).exit_code, 5)
    },
  ),
  check('exec-unknown', 'one-shot exec of an unknown tool gives its 127', async (context) => {
    const { scratch } = await listening(context)
    const { code, stdout } = await context.command(execArguments('frobnicate', {}), scratch)
    assert.equal(code, 0)
    assert.equal(ExecResponse.parse(JSON.parse(stdout)).exit_code, 127)
  }),
  check('exec-resets', 'one-shot exec resets before it prints', async (context) => {
    const helper = await listening(context)
    await context.command(execArguments('sh', { command: 'echo trace > /tmp/trace' }), helper.scratch)
    const { last_reset } = await helper.status()
    assert.equal(last_reset?.verification_passed, true)
    const { stdout } = await context.command(
      execArguments('sh', { command: 'cat /tmp/trace 2>/dev/null; echo end' }),
      helper.scratch,
    )
    assert.equal(ExecResponse.parse(JSON.parse(stdout)).stdout, 'end\n')
  }),
  check('save-restore', 'one-shot save-state and restore-state end with 0', async (context) => {
    const helper = await listening(context)
    const path = helper.scratch.path('saved')
    const saved = await context.command(['save-state', '--out', path], helper.scratch)
    assert.equal(saved.code, 0, saved.stderr)
    assert.ok(existsSync(path))
    const restored = await context.command(['restore-state', '--from', path], helper.scratch)
    assert.equal(restored.code, 0, restored.stderr)
    await stillServes(helper)
  }),
  check('save-existing', 'one-shot save-state onto something that exists ends with 66', async (context) => {
    const helper = await listening(context)
    const { code, stderr, stdout } = await context.command(
      ['save-state', '--out', helper.scratch.home],
      helper.scratch,
    )
    assert.equal(code, 66)
    sentence(stderr || stdout)
  }),
  check('restore-missing', 'one-shot restore-state from nothing ends with 66', async (context) => {
    const helper = await listening(context)
    const { code } = await context.command(
      ['restore-state', '--from', helper.scratch.path('none')],
      helper.scratch,
    )
    assert.equal(code, 66)
    await stillServes(helper)
  }),
  check(
    'live',
    'a live socket is refused: the second helper says so and the first one serves on',
    async (context) => {
      const first = await listening(context)
      const scratch = await context.golden()
      const second = context.boot(scratch, { socket: defaultSocket(first.scratch) })
      const result = await second.bootResult()
      assert.equal(result.ok, false)
      assert.equal(result.error?.code, 'BOOT_CONFIG_INVALID')
      assert.match(result.error.message, /socket|listen/i)
      assert.equal((await second.waitForExit()).code, 65)
      await stillServes(first)
      const { code } = await context.command(execArguments('echo', { text: 'x' }), first.scratch)
      assert.equal(code, 0)
    },
  ),
  check('stale', 'a stale socket whose owner is dead is replaced', async (context) => {
    const scratch = await context.golden()
    const socket = defaultSocket(scratch)
    const listen = `require('node:net').createServer().listen(${JSON.stringify(socket)})`
    const owner = spawn(process.execPath, ['-e', listen], { stdio: 'ignore' })
    await until(10_000, 'the stale socket', () => existsSync(socket))
    owner.kill('SIGKILL')
    await once(owner, 'exit')
    assert.ok(existsSync(socket), 'the dead owner left its socket')
    await context.boot(scratch, { socket }).ready()
    const { code } = await context.command(execArguments('echo', { text: 'x' }), scratch)
    assert.equal(code, 0)
  }),
  check('not-a-socket', 'a file in the place of the socket is refused and left as it is', async (context) => {
    const scratch = await context.golden()
    const helper = context.boot(scratch, { socket: join(scratch.configDir, 'manifest.key') })
    const result = await helper.bootResult()
    assert.equal(result.ok, false)
    assert.equal((await helper.waitForExit()).code, 65)
    assert.ok(lstatSync(join(scratch.configDir, 'manifest.key')).isFile())
  }),
  check('one-request', 'a connection carries one request and is closed after its answer', async (context) => {
    const helper = await listening(context)
    const request_id = randomUUID()
    const answer = await talk(
      defaultSocket(helper.scratch),
      `${JSON.stringify({ kind: 'status', request_id })}\n`,
    )
    const lines = answer.trimEnd().split('\n')
    assert.equal(lines.length, 1)
    assert.equal((JSON.parse(lines[0] ?? '') as { request_id: string }).request_id, request_id)
  }),
  check(
    'garbage',
    'garbage over the socket is answered with words, and the helper serves on',
    async (context) => {
      const helper = await listening(context)
      assert.match(await talk(defaultSocket(helper.scratch), 'garbage\n'), /protocol_error|error/)
      await stillServes(helper)
    },
  ),
  check('silent-client', 'a silent client delays nobody', async (context) => {
    const helper = await listening(context)
    const silent = connect(defaultSocket(helper.scratch))
    await once(silent, 'connect')
    assert.equal((await context.command(execArguments('echo', { text: 'x' }), helper.scratch)).code, 0)
    silent.destroy()
  }),
  check(
    'client-gone',
    'a client that goes away during its exec does not stop the helper',
    async (context) => {
      const helper = await listening(context)
      const socket = connect(defaultSocket(helper.scratch))
      await once(socket, 'connect')
      socket.write(
        `${JSON.stringify({
          ...{ kind: 'exec', request_id: randomUUID(), command_id: randomUUID(), tool: 'sh' },
          ...{ params: { command: 'sleep 2' }, deadline_ms: 9_000 },
        })}\n`,
      )
      await until(10_000, 'the exec to run', async () => (await helper.status()).exec)
      socket.destroy()
      await until(40_000, 'the exec to end', async () => {
        const { exec, state } = await helper.status()
        return exec === null && state === 'ready'
      })
      await stillServes(helper)
    },
  ),
  check('removed', 'the socket is gone when the helper has ended', async (context) => {
    const helper = await listening(context)
    await helper.shutdown()
    assert.equal(existsSync(defaultSocket(helper.scratch)), false)
  }),
]
