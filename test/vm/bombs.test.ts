import { describe, expect, it } from 'vitest'
import type { Helper } from '../support/helper.ts'
import { VM_TEST_MS, useBench } from './bench.ts'

/** A tool that takes all it can get harms itself; the VM serves on and is wiped as ever. */
describe('a bomb in a tool leaves the VM fine', () => {
  const bench = useBench()

  const stillFine = async (vm: Helper) => {
    expect((await vm.query('ProcessList')).error).toBeUndefined()
    expect((await vm.exec('echo', { text: 'fine' })).exit_code).toBe(0)
    const reset = await vm.reset()
    expect(reset.failed).toEqual([])
    expect(reset.verification_passed).toBe(true)
    expect((await vm.exec('echo', { text: 'fine' })).exit_code).toBe(0)
  }

  const bombs: [string, string, number][] = [
    ['fork bomb', 'f() { f | f & }; f; sleep 5', 6_000],
    ['memory bomb', 'x=$(head -c 400000000 /dev/zero | tr "\\0" x); echo ${#x}', 8_000],
    ['shared-memory bomb', 'head -c 400000000 /dev/zero > /dev/shm/bomb; true', 8_000],
    ['disk bomb', 'head -c 400000000 /dev/zero > ~/bomb; true', 8_000],
    [
      'descriptor bomb',
      'i=3; while [ $i -lt 5000 ]; do eval "exec $i</dev/null" || break; i=$((i+1)); done; true',
      8_000,
    ],
    ['busy loops', 'for i in 1 2 3 4 5 6 7 8; do (while :; do :; done) & done; wait', 3_000],
    ['inode bomb', 'i=0; while [ $i -lt 20000 ]; do : > ~/f$i || break; i=$((i+1)); done; true', 9_000],
  ]
  for (const [name, command, deadline_ms] of bombs)
    it(
      name,
      bench.shared(async ({ vm }) => {
        const response = await vm.sh(command, { deadline_ms })
        expect(response.evidence_hash, JSON.stringify(response.error)).toMatch(/^sha256:/)
        await stillFine(vm)
      }),
      VM_TEST_MS,
    )

  it(
    'two dispatches are apart: a bomb in one leaves no process to the next',
    bench.shared(async ({ vm }) => {
      await vm.sh('f() { sleep 100 & f; }; f', { deadline_ms: 4_000 })
      const { result } = await vm.query('ProcessList')
      const { processes } = result as { processes: { name: string }[] }
      expect(processes.filter(({ name }) => /sleep|busybox|^sh$/.test(name))).toEqual([])
    }),
    VM_TEST_MS,
  )
})
