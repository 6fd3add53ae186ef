import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Helper } from '../support/helper.ts'
import { commandLine } from '../support/processes.ts'
import { VM_TEST_MS, useBench } from './bench.ts'

/** What the kernel says of the processes that run guests, not what their command lines promise (wire-protocol §5). */
describe('the process of a VM is confined', () => {
  const bench = useBench()

  const qemus = (helper: Helper) =>
    helper.processes.filter(({ pid }) => /^\S*qemu-system/.test(commandLine(pid)))
  const statusOf = (pid: number) => {
    const lines = readFileSync(`/proc/${pid}/status`, 'utf8').split('\n')
    return Object.fromEntries(lines.map((line) => line.split(/:\s+/, 2)))
  }

  it(
    'by seccomp, without new privileges, capabilities or core dumps, and as nobody of note',
    bench.own(async (context) => {
      const helper = await context.own()
      await helper.standbyReady()
      const vms = qemus(helper)
      expect(vms.length, 'the VM and its standby').toBe(2)
      for (const { pid } of vms) {
        const status = statusOf(pid)
        expect(status).toMatchObject({ NoNewPrivs: '1', Seccomp: '2' })
        for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'])
          expect(status[set]).toBe('0000000000000000')
        expect(readFileSync(`/proc/${pid}/limits`, 'utf8')).toMatch(/^Max core file size\s+0\s+0\s/m)
        const uids = (status['Uid'] ?? '').split('\t')
        if (process.getuid?.() === 0) for (const uid of uids) expect(Number(uid)).toBeGreaterThan(0)
        else expect(new Set(uids)).toEqual(new Set([String(process.getuid?.())]))
      }
    }),
    VM_TEST_MS,
  )
})
