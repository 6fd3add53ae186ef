import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { errorOf, type Helper } from '../support/helper.ts'
import { gone } from '../support/processes.ts'
import { VM_TEST_MS, useBench } from './bench.ts'

/** Wire-protocol §3: neither dispatcher nor bridge is the OOM killer's to choose; if either dies the guest powers off. */
describe('the death of what the guest cannot be without', () => {
  const bench = useBench('test')

  /** A line of shell that does `what` to every process of this name; its directory in /proc is `$p`. */
  const each = (name: string, what: string) =>
    `for p in /proc/[0-9]*; do if [ "$(cat $p/comm 2>/dev/null)" = ${name} ]; then ${what}; fi; done`

  const asRoot = (command: string) => ({ tool: 'root.sh', params: { command } })

  it(
    'the bridge is kept from the OOM killer, and a tool is not',
    bench.own(async (context) => {
      const helper = await context.own()
      const score = `cat $p/oom_score_adj`
      const { stdout } = await helper.exec('root.sh', {
        command: `${each('bsm-bridge', score)}; cat /proc/self/oom_score_adj`,
      })
      expect(stdout).toBe('-1000\n0\n')
    }),
    VM_TEST_MS,
  )

  const deaths = [
    { who: 'the bridge', command: each('bsm-bridge', 'kill -KILL ${p#/proc/}') },
    // The kernel keeps SIGKILL from PID 1. Of SIGQUIT, Go's runtime dies as it does of its own faults.
    { who: 'the dispatcher', command: each('bsm-dispatcher', 'kill -QUIT ${p#/proc/}') },
  ]
  for (const { who, command } of deaths)
    it(
      `of ${who} powers the guest off; the helper says so, and a reset mends it`,
      bench.own(async (context) => {
        const helper = await context.own()
        await helper.standbyReady()
        const working = [...helper.processes]
        const vm = (await helper.status()).vm_id ?? ''
        const after = helper.mark
        const answer = await helper.ask(
          {
            ...{ kind: 'exec', command_id: randomUUID(), deadline_ms: 70_000 },
            ...asRoot(`${command}; sleep 60`),
          },
          80_000,
        )
        const error = errorOf(answer)
        expect(error?.code).toBe('GUEST_UNREACHABLE')
        expect(error?.message).toMatch(/^The VM has ended/) // by itself, and not for missing heartbeats
        expect(error?.next_step).toBeTruthy()
        const event = await helper.event('guest_unreachable', { after })
        expect(event.vmm_api_state).toBe('stopped')
        expect((await helper.status()).vmm_api_state).toBe('stopped')
        await gone(working.filter(({ pid }) => new RegExp(`\\b${pid}\\b`).test(vm)))
        await worksAgain(helper)
      }),
      VM_TEST_MS,
    )

  async function worksAgain(helper: Helper): Promise<void> {
    const reset = await helper.reset()
    expect(reset.error).toBeUndefined()
    expect(reset.verification_passed).toBe(true)
    const echoed = await helper.exec('echo', { text: 'again' })
    expect([echoed.exit_code, echoed.stdout]).toEqual([0, 'again\n'])
  }
})
