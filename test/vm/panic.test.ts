import { writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { bootArguments, Helper } from '../support/helper.ts'
import { VM_TEST_MS, useBench } from './bench.ts'

/** A bug of ours, put in from outside: a module loaded before the helper throws when it gets a signal. */
const BUG = `process.on('SIGUSR2', () => { throw new Error('a bug of the test') })`

describe('an internal bug of the helper', () => {
  const bench = useBench()

  it(
    'is told as helper_panic, takes the VMs along, and ends with 70',
    bench.own(async (context) => {
      const scratch = await context.golden()
      const bug = scratch.path('bug.mjs')
      writeFileSync(bug, BUG)
      const { command, args } = context.binary
      const helper = context.track(
        new Helper(
          { name: 'qemu', command, args: ['--import', bug, ...args] },
          scratch,
          bootArguments(scratch, context.image),
        ),
      )
      await helper.ready()
      await helper.standbyReady()
      helper.child.kill('SIGUSR2')
      const { message } = await helper.event('helper_panic', {})
      expect(message).toContain('a bug of the test')
      expect((await helper.waitForExit()).code).toBe(70)
      expect(helper.stderr).toContain('internal bug')
    }),
    VM_TEST_MS,
  )
})
