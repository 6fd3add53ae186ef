import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { until } from '../../support/deadline.ts'
import type { Exit, Helper } from '../../support/helper.ts'
import { commandLine, gone, type ProcessId } from '../../support/processes.ts'
import { group } from '../check.ts'
import type { Context } from '../context.ts'

/** How a helper ends; that it left no process, socket or temporary file is looked at after every check. */
const check = group('ending', '§2', 'own-vm')

async function ends(
  helper: Helper,
  how: () => void | Promise<void>,
): Promise<{ exit: Exit; processes: ProcessId[] }> {
  const processes = helper.processes
  await how()
  const exit = await helper.waitForExit()
  await gone(processes)
  return { exit, processes }
}

const eof = (helper: Helper) => () => helper.closeStdin()

/** A booted helper in the middle of an exec. */
async function executing(context: Context): Promise<Helper> {
  const helper = await context.own()
  const after = helper.mark
  helper.sh('echo go; sleep 60', { deadline_ms: 70_000 }).catch(() => undefined)
  await helper.event('exec_output', { after })
  return helper
}

export const endingChecks = [
  check('shutdown', 'shutdown answers ok and ends with 0', async (context) => {
    const helper = await context.own()
    const { exit } = await ends(helper, async () => {
      const response = await helper.request('shutdown', {})
      assert.equal(response.ok, true)
    })
    assert.deepEqual(exit, { code: 0, signal: null })
  }),
  check('shutdown-exec', 'shutdown during an exec ends at once', async (context) => {
    const helper = await executing(context)
    const { exit } = await ends(helper, async () => {
      assert.equal((await helper.request('shutdown', {})).ok, true)
    })
    assert.equal(exit.code, 0)
  }),
  check('shutdown-exec-answered', 'the exec that a shutdown ends is answered', async (context) => {
    const helper = await context.own()
    const after = helper.mark
    const run = helper.sh('echo go; sleep 60', { deadline_ms: 70_000 })
    await helper.event('exec_output', { after })
    helper.line({ kind: 'shutdown', request_id: randomUUID() })
    const response = await run
    assert.ok(response.error)
    await helper.waitForExit()
  }),
  check('shutdown-twice', 'a second shutdown does no harm', async (context) => {
    const helper = await context.own()
    const { exit } = await ends(helper, () => {
      helper.line({ kind: 'shutdown', request_id: randomUUID() })
      helper.line({ kind: 'shutdown', request_id: randomUUID() })
    })
    assert.equal(exit.code, 0)
  }),
  check('shutdown-reset', 'shutdown during a reset ends everything', async (context) => {
    const helper = await context.own()
    const { exit } = await ends(helper, () => {
      helper.line({ kind: 'reset', request_id: randomUUID() })
      helper.line({ kind: 'shutdown', request_id: randomUUID() })
    })
    assert.equal(exit.signal, null)
  }),
  check('eof-idle', 'EOF on stdin ends an idle helper with everything it started', async (context) => {
    const helper = await context.own()
    const { exit } = await ends(helper, eof(helper))
    assert.deepEqual(exit, { code: 0, signal: null })
  }),
  check('eof-standby', 'EOF while a standby is being prepared ends that too', async (context) => {
    const helper = await context.own()
    await helper.standbyReady()
    const after = helper.mark
    await helper.reset()
    await helper.event('standby_changed', { after, where: (one) => one.standby.state === 'preparing' })
    await ends(helper, eof(helper))
  }),
  check('eof-exec', 'EOF during an exec ends everything', async (context) => {
    const helper = await executing(context)
    await ends(helper, eof(helper))
  }),
  check('eof-reset', 'EOF during a reset ends everything', async (context) => {
    const helper = await context.own()
    await ends(helper, () => {
      helper.line({ kind: 'reset', request_id: randomUUID() })
      helper.closeStdin()
    })
  }),
  check('eof-save', 'EOF during a save ends everything', async (context) => {
    const helper = await context.own()
    await ends(helper, () => {
      helper.line({ kind: 'save_state', request_id: randomUUID(), out_path: helper.scratch.path('saved') })
      helper.closeStdin()
    })
  }),
  check('eof-cold-boot', 'EOF in the middle of a cold boot ends everything', async (context) => {
    const helper = context.boot(context.scratch())
    await until(30_000, 'a process of the VM', () =>
      helper.processes.some(({ pid }) => /qemu/.test(commandLine(pid))),
    )
    await ends(helper, eof(helper))
  }),
  check('eof-cut-request', 'EOF in the middle of a line ends everything', async (context) => {
    const helper = await context.own()
    await ends(helper, () => {
      helper.raw('{"kind":"exec","request_id":"')
      helper.closeStdin()
    })
  }),
  ...(['SIGTERM', 'SIGINT', 'SIGHUP'] as const).map((signal) =>
    check(
      signal.toLowerCase(),
      `${signal} ends an idle helper with everything it started`,
      async (context) => {
        const helper = await context.own()
        const { exit } = await ends(helper, () => helper.kill(signal))
        assert.notEqual(exit.signal, 'SIGKILL')
      },
    ),
  ),
  check('sigterm-exec', 'SIGTERM during an exec ends everything', async (context) => {
    const helper = await executing(context)
    await ends(helper, () => helper.kill('SIGTERM'))
  }),
  check('sigterm-boot', 'SIGTERM during a boot ends everything', async (context) => {
    const helper = context.boot(context.scratch())
    await until(30_000, 'a child process', () => helper.processes.length > 1)
    await ends(helper, () => helper.kill('SIGTERM'))
  }),
  check('sigkill', 'kill -9 of the helper leaves no VM behind', async (context) => {
    const helper = await context.own()
    await helper.standbyReady()
    const { exit, processes } = await ends(helper, () => helper.kill('SIGKILL'))
    assert.equal(exit.signal, 'SIGKILL')
    assert.ok(processes.length >= 3, 'there was a VM and a standby to leave behind')
  }),
  check(
    'sigkill-then-boot',
    'after kill -9 of the helper the next one boots in the same place',
    async (context) => {
      const helper = await context.own()
      await ends(helper, () => helper.kill('SIGKILL'))
      const second = context.boot(helper.scratch)
      const result = await second.ready()
      assert.equal(result.boot_path, 'fast_snapshot')
      assert.equal((await second.exec('echo', { text: 'again' })).exit_code, 0)
      await second.shutdown()
      assert.deepEqual(helper.scratch.leftovers(), [])
    },
  ),
  check('stdout-closed', 'with nobody reading stdout it still ends by EOF, and whole', async (context) => {
    const helper = await context.own()
    await ends(helper, () => {
      helper.child.stdout.destroy()
      helper.line({ kind: 'status', request_id: randomUUID() })
      helper.closeStdin()
    })
  }),
  check('epoch-file', 'the epoch goes on rising over a restart', async (context) => {
    const helper = await context.own()
    const first = (await helper.exec('echo', { text: 'x' })).epoch ?? 0
    await helper.shutdown()
    const second = context.boot(helper.scratch)
    await second.ready()
    assert.ok(((await second.exec('echo', { text: 'x' })).epoch ?? 0) > first)
    assert.ok(existsSync(helper.scratch.stateDir))
  }),
]
