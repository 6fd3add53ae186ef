import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { Context } from '../conformance/context.ts'
import { until } from '../support/deadline.ts'
import { errorOf, type Helper } from '../support/helper.ts'
import { HELPERS } from '../support/helper-binary.ts'
import { byAge, gone, identify, isAlive, isQemu, parentOf, type ProcessId } from '../support/processes.ts'
import { VM_TEST_MS, useBench } from './bench.ts'

const kill = (one: ProcessId) => {
  if (identify(one.pid)?.startedAt === one.startedAt) process.kill(one.pid, 'SIGKILL')
}

/** `kill -9` of what runs below a helper, at any moment: a sentence, no orphan, a working VM again. */
describe('kill -9 below the helper', () => {
  const bench = useBench()

  /** The process of the VM that works now, and those of its standby. */
  async function vms(helper: Helper): Promise<{ working: ProcessId; others: ProcessId[] }> {
    const id = (await helper.status()).vm_id ?? ''
    const qemus = helper.processes.filter(isQemu)
    const working = qemus.find(({ pid }) => new RegExp(`\\b${pid}\\b`).test(id))
    if (!working) throw new Error(`no process of ${id} among ${JSON.stringify(qemus)}`)
    return { working, others: qemus.filter((one) => one !== working) }
  }
  const launcherOf = (helper: Helper, vm: ProcessId): ProcessId => {
    const found = helper.processes.find(({ pid }) => pid === parentOf(vm.pid))
    if (!found) throw new Error('the VM has no launcher')
    return found
  }

  async function worksAgain(helper: Helper): Promise<void> {
    await until(90_000, 'a reset that passes', async () => {
      const reset = await helper.ask({ kind: 'reset' }, 60_000)
      if (reset.kind !== 'reset_response') throw new Error(JSON.stringify(reset))
      expect(reset.error?.code).not.toBe('RESET_VERIFICATION_DIVERGENCE')
      return reset.verification_passed
    })
    const echoed = await helper.exec('echo', { text: 'again' })
    expect(echoed.error).toBeUndefined()
    expect(echoed.exit_code).toBe(0)
  }

  async function withStandby(context: Context): Promise<Helper> {
    const helper = await context.own()
    await helper.standbyReady()
    return helper
  }

  const saysSo = (message: string | undefined) => {
    expect(message).toMatch(/\w+ \w+/)
    expect(message).not.toMatch(/undefined|\[object|\n\s+at /)
  }

  it(
    'of the idle VM: said in an event, an exec says it too, a reset mends it',
    bench.own(async (context) => {
      const helper = await withStandby(context)
      const { working } = await vms(helper)
      const after = helper.mark
      kill(working)
      const event = await helper.find(
        'news of the death',
        (message) =>
          message.kind === 'event' &&
          (message.event === 'guest_unreachable' ||
            (message.event === 'vmm_state_changed' && message.vmm_api_state !== 'running')),
        { after, ms: 30_000 },
      )
      expect(event).toBeDefined()
      expect((await helper.status()).vmm_api_state).not.toBe('running')
      const exec = await helper.ask({
        ...{ kind: 'exec', command_id: randomUUID(), tool: 'echo' },
        ...{ params: { text: 'x' }, deadline_ms: 5_000 },
      })
      expect(errorOf(exec)?.code).toMatch(/GUEST_UNREACHABLE|VM_LIFECYCLE_ERROR/)
      saysSo(errorOf(exec)?.message)
      expect(errorOf(exec)?.next_step).toBeTruthy()
      await worksAgain(helper)
      await gone([working])
    }),
    VM_TEST_MS,
  )

  it(
    'of the VM during an exec: the exec is answered with what it said so far',
    bench.own(async (context) => {
      const helper = await withStandby(context)
      const { working } = await vms(helper)
      const after = helper.mark
      const run = helper.ask(
        {
          ...{ kind: 'exec', command_id: randomUUID(), tool: 'sh' },
          ...{ params: { command: 'echo before; sleep 60' }, deadline_ms: 70_000 },
        },
        40_000,
      )
      await helper.event('exec_output', { after })
      kill(working)
      const error = errorOf(await run)
      expect(error?.code).toMatch(/GUEST_UNREACHABLE|VM_LIFECYCLE_ERROR/)
      saysSo(error?.message)
      await worksAgain(helper)
    }),
    VM_TEST_MS,
  )

  it(
    'of the standby: another is prepared, and the next reset passes',
    bench.own(async (context) => {
      const helper = await withStandby(context)
      const { others } = await vms(helper)
      expect(others.length).toBe(1)
      const after = helper.mark
      for (const one of others) kill(one)
      await helper.event('standby_changed', {
        after,
        ms: 60_000,
        where: ({ standby }) => standby.state === 'ready',
      })
      await worksAgain(helper)
    }),
    VM_TEST_MS,
  )

  it(
    'of a standby in preparation',
    bench.own(async (context) => {
      const helper = await withStandby(context)
      const after = helper.mark
      await helper.reset()
      await helper.event('standby_changed', { after, where: ({ standby }) => standby.state === 'preparing' })
      const { others } = await until(20_000, 'a second VM', async () => {
        const found = await vms(helper)
        return found.others.length > 0 ? found : undefined
      })
      for (const one of others) kill(one)
      await worksAgain(helper)
    }),
    VM_TEST_MS,
  )

  it(
    'of the standby and the VM, both at once',
    bench.own(async (context) => {
      const helper = await withStandby(context)
      const { working, others } = await vms(helper)
      for (const one of [working, ...others]) kill(one)
      await worksAgain(helper)
    }),
    VM_TEST_MS,
  )

  it(
    'of every VM as a reset begins',
    bench.own(async (context) => {
      const helper = await withStandby(context)
      const { working, others } = await vms(helper)
      const reset = helper.ask({ kind: 'reset' }, 90_000)
      for (const one of [working, ...others]) kill(one)
      const answer = await reset
      const error = errorOf(answer)
      if (error) saysSo(error.message)
      await worksAgain(helper)
    }),
    VM_TEST_MS,
  )

  it(
    'of the launcher of the VM takes the VM with it, and a reset mends it',
    bench.own(async (context) => {
      const helper = await withStandby(context)
      const { working } = await vms(helper)
      const launcher = launcherOf(helper, working)
      kill(launcher)
      await gone([launcher, working])
      await worksAgain(helper)
    }),
    VM_TEST_MS,
  )

  it(
    'of the VM during a cold boot: boot_result says so, the helper ends with 66 or 67',
    bench.own(async (context) => {
      const helper = context.boot(context.scratch())
      const [qemu] = await until(30_000, 'the VM', () => {
        const found = helper.processes.filter(isQemu)
        return found.length > 0 ? found : undefined
      })
      if (qemu) kill(qemu)
      const result = await helper.bootResult()
      expect(result.ok).toBe(false)
      saysSo(result.error?.message)
      expect([66, 67]).toContain((await helper.waitForExit()).code)
    }),
    VM_TEST_MS,
  )

  it(
    'a VM that stops answering (SIGSTOP) is found by its heartbeat',
    bench.own(async (context) => {
      const helper = await withStandby(context)
      const { working } = await vms(helper)
      const after = helper.mark
      process.kill(working.pid, 'SIGSTOP')
      await helper.event('guest_unreachable', { after, ms: 45_000 })
      await worksAgain(helper)
      await gone([working])
    }),
    VM_TEST_MS,
  )

  it(
    'of the helper at six moments leaves nothing, and the next helper works',
    bench.own(async (context) => {
      const scratch = await context.golden()
      const moments: ((helper: Helper) => Promise<unknown>)[] = [
        async (helper) => until(20_000, 'a child', () => helper.processes.length > 1),
        async (helper) => helper.bootResult(),
        async (helper) =>
          helper.event('standby_changed', { where: ({ standby }) => standby.state === 'preparing' }),
        async (helper) => {
          await helper.ready()
          await helper.standbyReady()
          helper.line({ kind: 'reset', request_id: randomUUID() })
        },
        async (helper) => {
          await helper.ready()
          const after = helper.mark
          helper.sh('echo go; sleep 60').catch(() => undefined)
          await helper.event('exec_output', { after })
        },
        async (helper) => {
          await helper.ready()
          helper.line({ kind: 'save_state', request_id: randomUUID(), out_path: scratch.path(randomUUID()) })
        },
      ]
      for (const moment of moments) {
        const helper = context.boot(scratch)
        await moment(helper)
        const processes = helper.processes
        helper.kill('SIGKILL')
        await helper.waitForExit()
        await gone(processes)
        expect(processes.filter(isAlive)).toEqual([])
      }
      const last = context.boot(scratch)
      await last.ready()
      await worksAgain(last)
      await last.shutdown()
      expect(scratch.leftovers()).toEqual([])
    }),
    VM_TEST_MS,
  )
})

describe.each(HELPERS)('a standby that is killed unseen, on the %s helper', (which) => {
  const bench = useBench('product', which)

  const untilTheResetTakesAnother = async (helper: Helper) => {
    await helper.standbyReady()
    const [, standby] = helper.processes.filter(isQemu).sort(byAge)
    if (standby === undefined) throw new Error('there is no standby')
    kill(standby)
    await gone([standby])
    const reset = await helper.reset()
    expect(reset.verification_passed, JSON.stringify(reset)).toBe(true)
  }

  it(
    'is a fault and no divergence: the reset takes another VM',
    bench.own(async (context) => {
      const helper = await context.own()
      for (let round = 0; round < 3; round += 1) await untilTheResetTakesAnother(helper)
    }),
    VM_TEST_MS,
  )

  if (which === 'vz')
    it(
      'is so too where the framework tells of it late',
      bench.own(async (context) => {
        await untilTheResetTakesAnother(await context.own({ env: { BSM_STAND_IN_FAULTS: 'end-late' } }))
      }),
      VM_TEST_MS,
    )
})
