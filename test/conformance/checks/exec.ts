import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { LIMITS, capOutput } from '../../../core/protocol/index.ts'
import { storedChain } from '../../support/evidence.ts'
import type { Helper } from '../../support/helper.ts'
import { group } from '../check.ts'
import { refused, stillServes } from '../expect.ts'

const check = group('exec', '§2', 'vm')
const MIB = 1024 * 1024
/** The first byte of a chunk of output (§3); records begin with a brace. */
const STDOUT = 1

/** Bytes of one stream as the live events brought them. */
export function streamed(vm: Helper, commandId: string, stream: 'stdout' | 'stderr'): Buffer {
  return Buffer.concat(
    vm
      .events('exec_output')
      .filter((one) => one.command_id === commandId && one.stream === stream)
      .map((one) => Buffer.from(one.data_b64, 'base64')),
  )
}

/** Runs a command that prints and holds the result to what the live events brought. */
async function capped(vm: Helper, command: string) {
  const response = await vm.sh(command, { deadline_ms: 60_000 })
  const expected = capOutput(streamed(vm, response.command_id, 'stdout'))
  assert.equal(response.stdout_bytes, expected.bytes)
  assert.equal(response.truncated?.stdout, expected.truncated)
  assert.equal(response.encoding?.stdout, expected.encoding)
  assert.ok(response.stdout === expected.text, 'stdout is not what the events brought, capped')
  return response
}

const letters = (count: number) => `head -c ${count} /dev/zero | tr '\\0' a`

export const execChecks = [
  ...[0, 1, 2, 42, 126, 127, 128, 137, 254, 255].map((code) =>
    check(`exit-${code}`, `exit code ${code} of a tool arrives as it is`, async ({ vm }) => {
      const response = await vm.sh(`exit ${code}`)
      assert.equal(response.exit_code, code)
      assert.equal(response.error, undefined)
    }),
  ),
  check('signal', 'a tool that kills itself reports the signal as a shell does', async ({ vm }) => {
    const { exit_code } = await vm.sh('kill -TERM $$')
    assert.equal(exit_code, 143)
  }),
  check('streams', 'stdout and stderr stay apart', async ({ vm }) => {
    const { stdout, stderr } = await vm.sh('echo out; echo err >&2; echo out2')
    assert.equal(stdout, 'out\nout2\n')
    assert.equal(stderr, 'err\n')
  }),
  check('stderr-bytes', 'stdout_bytes and stderr_bytes count each stream', async ({ vm }) => {
    const { stdout_bytes, stderr_bytes } = await vm.sh('printf 12345; printf 123 >&2')
    assert.deepEqual([stdout_bytes, stderr_bytes], [5, 3])
  }),
  check('silent', 'a silent tool gives two empty streams', async ({ vm }) => {
    const { stdout, stderr, truncated } = await vm.sh(':')
    assert.deepEqual([stdout, stderr, truncated], ['', '', { stdout: false, stderr: false }])
  }),
  check('control-characters', 'control characters arrive unchanged', async ({ vm }) => {
    assert.equal((await vm.sh("printf '\\033[31m\\007\\r\\b\\000x'")).stdout, '\u001b[31m\u0007\r\b\u0000x')
  }),
  check('json-like', 'output that looks like a message stays output', async ({ vm }) => {
    const text = '{"kind":"shutdown_response","ok":true}'
    const response = await vm.sh(`printf '%s\\n' '${text}'`)
    assert.equal(response.stdout, `${text}\n`)
  }),
  check('base64', 'a stream that is not UTF-8 comes as base64', async ({ vm }) => {
    const response = await vm.sh("printf '\\377\\376'; printf plain >&2")
    assert.deepEqual(response.encoding, { stdout: 'base64', stderr: 'utf-8' })
    assert.deepEqual(Buffer.from(response.stdout, 'base64'), Buffer.from([0xff, 0xfe]))
    assert.equal(response.stderr, 'plain')
  }),
  check('base64-surrogate', 'UTF-8 of a lone surrogate is not UTF-8', async ({ vm }) => {
    assert.equal((await vm.sh("printf '\\355\\240\\200'")).encoding?.stdout, 'base64')
  }),
  check('cut-character', 'a stream that ends inside a character comes as base64', async ({ vm }) => {
    assert.equal((await vm.sh("printf 'a\\303'")).encoding?.stdout, 'base64')
  }),
  check('cap-below', 'one byte below 1 MiB arrives whole', async ({ vm }) => {
    const response = await capped(vm, letters(MIB - 1))
    assert.equal(response.truncated?.stdout, false)
    assert.equal(response.stdout.length, MIB - 1)
  }),
  check('cap-at', 'exactly 1 MiB arrives whole', async ({ vm }) => {
    const response = await capped(vm, letters(MIB))
    assert.equal(response.truncated?.stdout, false)
    assert.equal(response.stdout.length, MIB)
  }),
  check('cap-over', 'one byte more is cut, marked and counted', async ({ vm }) => {
    const response = await capped(vm, letters(MIB + 1))
    assert.equal(response.truncated?.stdout, true)
    assert.equal(response.stdout_bytes, MIB + 1)
    assert.ok(response.stdout.includes('\n[... 1 bytes cut ...]\n'))
  }),
  check('cap-ends', 'head and tail of a long stream are kept', async ({ vm }) => {
    const response = await capped(vm, `echo first; ${letters(3 * MIB)}; echo; echo last`)
    assert.ok(response.stdout.startsWith('first\n') && response.stdout.endsWith('\nlast\n'))
    assert.equal(response.truncated?.stdout, true)
  }),
  check('cap-utf8', 'a cut splits no character', async ({ vm }) => {
    const response = await capped(vm, `printf x; yes 'é🦊' | head -c 1400000`)
    assert.equal(response.encoding?.stdout, 'utf-8')
    assert.equal(response.truncated?.stdout, true)
    assert.equal(response.stdout.includes('\ufffd'), false)
  }),
  check('cap-binary', 'a long binary stream is cut and comes as base64', async ({ vm }) => {
    const response = await capped(vm, "printf '\\377'; dd if=/dev/zero bs=64k count=19 2>/dev/null")
    assert.equal(response.encoding?.stdout, 'base64')
  }),
  check('cap-stderr', 'stderr has a cap of its own', async ({ vm }) => {
    const response = await vm.sh(`(${letters(MIB + 10)}) >&2; echo short`)
    assert.deepEqual(response.truncated, { stdout: false, stderr: true })
    assert.equal(response.stdout, 'short\n')
    assert.equal(response.stderr, capOutput(streamed(vm, response.command_id, 'stderr')).text)
  }),
  check(
    'output-limit',
    'at 64 MiB of output the tool is killed: 137, OUTPUT_LIMIT, with what it said',
    async ({ vm }) => {
      const response = await vm.sh('dd if=/dev/zero bs=64k count=1400; echo survived', {
        deadline_ms: 150_000,
      })
      assert.equal(response.exit_code, 137)
      assert.equal(response.error?.code, 'OUTPUT_LIMIT')
      assert.ok((response.stdout_bytes ?? 0) <= LIMITS.evidenceBytes)
      assert.ok((response.stdout_bytes ?? 0) >= LIMITS.evidenceBytes - 2 * MIB, `${response.stdout_bytes}`)
      assert.equal(response.stdout.includes('survived'), false)
      assert.equal(response.truncated?.stdout, true)
      // A reader that falls far behind loses live events: the chain has every byte, and each event what the chain has there.
      const { data } = storedChain(response)
      const kept = data.filter((chunk) => chunk[0] === STDOUT)
      assert.equal(
        kept.reduce((sum, chunk) => sum + chunk.length - 1, 0),
        response.stdout_bytes,
      )
      let last = 0
      for (const { seq, data_b64 } of vm
        .events('exec_output')
        .filter(({ command_id, stream }) => command_id === response.command_id && stream === 'stdout')) {
        assert.ok(seq > last, `event ${seq} after ${last}`)
        assert.ok(data[seq - 1]?.subarray(1).equals(Buffer.from(data_b64, 'base64')), `event ${seq}`)
        last = seq
      }
      assert.ok(last > 0, 'some of it came live')
    },
    { deadlineMs: 180_000 },
  ),
  check('deadline', 'a deadline ends the tool: 137, SANDBOX_TOOL_TIMEOUT, output so far', async ({ vm }) => {
    const response = await vm.sh('echo before; sleep 60; echo after', { deadline_ms: 5_000 })
    assert.equal(response.exit_code, 137)
    assert.equal(response.error?.code, 'SANDBOX_TOOL_TIMEOUT')
    assert.equal(response.stdout, 'before\n')
    assert.ok((response.duration_ms ?? 0) >= 4_000 && (response.duration_ms ?? 0) < 50_000)
    await stillServes(vm)
  }),
  check('deadline-tree', 'a deadline ends children, background and detached ones too', async ({ vm }) => {
    await vm.sh('(setsid sleep 77 &) ; sleep 77 & sleep 77', { deadline_ms: 1_500 })
    const { stdout } = await vm.sh('ps 2>/dev/null || ls /proc')
    assert.doesNotMatch(stdout, /sleep 77/)
    const list = (await vm.query('ProcessList')).result as { processes: { name: string }[] }
    assert.deepEqual(
      list.processes.filter(({ name }) => name.includes('sleep')),
      [],
    )
  }),
  check('deadline-ignored', 'a tool that ignores SIGTERM is killed all the same', async ({ vm }) => {
    const response = await vm.sh("trap '' TERM INT HUP; while :; do :; done", { deadline_ms: 1_500 })
    assert.equal(response.exit_code, 137)
  }),
  check('deadline-min', 'a deadline of 100 ms is taken', async ({ vm }) => {
    const { error } = await vm.sh('sleep 30', { deadline_ms: LIMITS.deadlineMinMs })
    assert.equal(error?.code, 'SANDBOX_TOOL_TIMEOUT')
  }),
  check('deadline-max', 'a deadline of an hour is taken', async ({ vm }) => {
    assert.equal((await vm.sh('echo ok', { deadline_ms: LIMITS.deadlineMaxMs })).stdout, 'ok\n')
  }),
  check(
    'background',
    'a background child neither holds the result nor outlives the dispatch',
    async ({ vm }) => {
      const response = await vm.sh('sleep 66 & echo started')
      assert.equal(response.stdout, 'started\n')
      assert.equal(response.exit_code, 0)
      const list = (await vm.query('ProcessList')).result as { processes: { name: string }[] }
      assert.equal(
        list.processes.some(({ name }) => name.includes('sleep')),
        false,
      )
    },
  ),
  check('stdin', 'stdin_b64 is the tool\u2019s stdin, binary and to its end', async ({ vm }) => {
    const data = Buffer.from([0, 1, 255, 254, 10, 13, 0])
    const response = await vm.sh('cat', { stdin_b64: data.toString('base64') })
    assert.deepEqual(Buffer.from(response.stdout, 'base64'), data)
  }),
  check('stdin-big', 'a stdin of 2 MiB arrives whole', async ({ vm }) => {
    const response = await vm.sh('wc -c', { stdin_b64: Buffer.alloc(2 * MIB, 'z').toString('base64') })
    assert.equal(response.stdout.trim(), String(2 * MIB))
  }),
  check('stdin-unread', 'a tool that does not read its stdin ends well', async ({ vm }) => {
    const response = await vm.sh('echo done', { stdin_b64: Buffer.alloc(MIB).toString('base64') })
    assert.equal(response.stdout, 'done\n')
  }),
  check('stdin-none', 'without stdin a tool reads the end at once', async ({ vm }) => {
    assert.equal((await vm.sh('cat; echo end')).stdout, 'end\n')
  }),
  check('cwd', 'cwd is the working directory', async ({ vm }) => {
    assert.equal((await vm.sh('pwd', { cwd: '/tmp' })).stdout, '/tmp\n')
  }),
  check('cwd-default', 'without cwd a tool starts in its home', async ({ vm }) => {
    assert.equal((await vm.sh('pwd')).stdout, '/home/sandbox\n')
  }),
  check('cwd-missing', 'a cwd that is not there is refused with a sentence', async ({ vm }) => {
    const response = await vm.sh('pwd', { cwd: '/no/such' })
    assert.equal(response.exit_code, 254)
    assert.match(response.error?.message ?? '', /no\/such|directory/)
  }),
  check('env', 'env adds variables', async ({ vm }) => {
    const response = await vm.sh('echo "$GREETING|$HOME"', { env: { GREETING: 'à bientôt $(id)' } })
    assert.equal(response.stdout, 'à bientôt $(id)|/home/sandbox\n')
  }),
  check('env-gone', 'variables of one dispatch are not in the next', async ({ vm }) => {
    await vm.sh(':', { env: { LEFT_BEHIND: 'yes' } })
    assert.doesNotMatch((await vm.exec('env', {})).stdout, /LEFT_BEHIND/)
  }),
  check('env-bad-name', 'a variable name with = is refused', async ({ vm }) => {
    const response = await vm.ask({
      kind: 'exec',
      command_id: randomUUID(),
      tool: 'env',
      params: {},
      deadline_ms: 5_000,
      env: { 'A=B': 'c' },
    })
    refused(response, 'BAD_REQUEST')
  }),
  check('reused-id', 'a reused command_id is refused and nothing runs', async ({ vm }) => {
    const command_id = randomUUID()
    await vm.sh('echo once >> /tmp/reused', { command_id })
    const again = await vm.ask({
      kind: 'exec',
      command_id,
      tool: 'sh',
      params: { command: 'echo twice >> /tmp/reused' },
      deadline_ms: 5_000,
    })
    refused(again, 'BAD_REQUEST')
    assert.equal((await vm.exec('cat', { path: '/tmp/reused' })).stdout, 'once\n')
  }),
  check('reused-id-after-reset', 'a command_id stays used after a reset', async ({ vm }) => {
    const command_id = randomUUID()
    await vm.exec('echo', { text: 'x' }, { command_id })
    await vm.reset()
    refused(
      await vm.ask({ kind: 'exec', command_id, tool: 'echo', params: { text: 'x' }, deadline_ms: 5_000 }),
      'BAD_REQUEST',
    )
  }),
  check('cancel', 'cancel ends a running command: 137, CANCELLED, output so far', async ({ vm }) => {
    const command_id = randomUUID()
    const after = vm.mark
    const run = vm.sh('echo before; sleep 60', { command_id, deadline_ms: 70_000 })
    await vm.event('exec_output', { after, where: (one) => one.command_id === command_id })
    const cancel = await vm.request('cancel', { command_id })
    assert.equal(cancel.cancelled, true)
    const response = await run
    assert.equal(response.exit_code, 137)
    assert.equal(response.error?.code, 'CANCELLED')
    assert.equal(response.stdout, 'before\n')
    await stillServes(vm)
  }),
  check('cancel-finished', 'cancel of a finished command cancels nothing', async ({ vm }) => {
    const { command_id } = await vm.exec('echo', { text: 'x' })
    assert.equal((await vm.request('cancel', { command_id })).cancelled, false)
  }),
  check('cancel-twice', 'a second cancel is answered too', async ({ vm }) => {
    const command_id = randomUUID()
    const after = vm.mark
    const run = vm.sh('echo go; sleep 60', { command_id, deadline_ms: 70_000 })
    await vm.event('exec_output', { after })
    await Promise.all([vm.request('cancel', { command_id }), vm.request('cancel', { command_id })])
    assert.equal((await run).error?.code, 'CANCELLED')
  }),
  check('reset-cancels', 'a reset during an exec cancels it first, then resets', async ({ vm }) => {
    const after = vm.mark
    const run = vm.sh('echo go; sleep 60', { deadline_ms: 70_000 })
    await vm.event('exec_output', { after })
    const reset = await vm.reset()
    const response = await run
    assert.equal(response.exit_code, 137)
    assert.equal(response.error?.code, 'CANCELLED')
    assert.ok(response.index < reset.index, 'the exec is answered before the reset')
    assert.equal(reset.verification_passed, true)
  }),
  check('live', 'output arrives while the tool still runs', async ({ vm }) => {
    const after = vm.mark
    const run = vm.sh('echo early; sleep 2; echo late')
    const early = await vm.event('exec_output', { after })
    assert.equal(Buffer.from(early.data_b64, 'base64').toString(), 'early\n')
    assert.ok(early.index < (await run).index)
  }),
  check('live-order', 'events come in rising seq and all before the response', async ({ vm }) => {
    const response = await vm.sh('for i in 1 2 3 4 5 6 7 8; do echo $i; echo e$i >&2; done')
    const events = vm.events('exec_output').filter((one) => one.command_id === response.command_id)
    assert.ok(events.every((one, at) => one.seq > (events[at - 1]?.seq ?? 1)))
    assert.ok(events.every((one) => one.index < response.index))
  }),
  check('live-equal', 'the live events together are the result', async ({ vm }) => {
    const response = await vm.sh('echo a; echo b >&2; echo c')
    assert.equal(streamed(vm, response.command_id, 'stdout').toString(), response.stdout)
    assert.equal(streamed(vm, response.command_id, 'stderr').toString(), response.stderr)
  }),
  check('epoch', 'epoch stays the same between resets', async ({ vm }) => {
    const first = await vm.exec('echo', { text: 'x' })
    const second = await vm.exec('echo', { text: 'x' })
    assert.equal(first.epoch, second.epoch)
  }),
  check('keeps-state', 'two commands of one epoch see the same files', async ({ vm }) => {
    await vm.sh('echo kept > ~/kept')
    assert.equal((await vm.sh('cat ~/kept')).stdout, 'kept\n')
  }),
]
