import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { MemUsageResult, OpenFdCountResult, ProcessListResult } from '../../../core/protocol/index.ts'
import { until } from '../../support/deadline.ts'
import { group } from '../check.ts'

const check = group('query', '§3', 'vm')

export const queryChecks = [
  check('fd', 'OpenFdCount gives a count', async ({ vm }) => {
    const { query_kind, result } = await vm.query('OpenFdCount')
    assert.equal(query_kind, 'OpenFdCount')
    assert.ok(OpenFdCountResult.parse(result).open_fd_count > 0)
  }),
  check('fd-steady', 'OpenFdCount does not change by asking', async ({ vm }) => {
    const counts = []
    for (let n = 0; n < 5; n += 1)
      counts.push(OpenFdCountResult.parse((await vm.query('OpenFdCount')).result).open_fd_count)
    assert.equal(new Set(counts).size, 1, counts.join())
  }),
  check('memory', 'MemUsage gives bytes used of bytes there', async ({ vm }) => {
    const { bytes_used, bytes_total } = MemUsageResult.parse((await vm.query('MemUsage')).result)
    assert.ok(bytes_used > 0 && bytes_used < bytes_total)
    assert.ok(bytes_total <= 256 * 2 ** 20)
  }),
  check('memory-moves', 'MemUsage sees what a tool takes', async ({ vm }) => {
    const used = async () => MemUsageResult.parse((await vm.query('MemUsage')).result).bytes_used
    // A VM of its own: what an earlier dispatch took may be given back meanwhile.
    await vm.reset()
    const before = await used()
    const { exit_code, stderr } = await vm.sh('dd if=/dev/zero of=/dev/shm/ballast bs=64k count=610')
    assert.equal(exit_code, 0, stderr)
    const after = await used()
    assert.ok(after - before > 20_000_000, `${before} before, ${after} after 40 MB`)
  }),
  check('processes', 'ProcessList names processes with pids', async ({ vm }) => {
    const { processes } = ProcessListResult.parse((await vm.query('ProcessList')).result)
    assert.ok(processes.length > 0)
    assert.ok(processes.some(({ pid }) => pid === 1))
  }),
  check('processes-tool', 'ProcessList shows the running tool', async ({ vm }) => {
    const after = vm.mark
    const run = vm.sh('echo go; sleep 5')
    await vm.event('exec_output', { after })
    // The shell has said so before it begins to sleep.
    await until(4_000, 'the tool in the list of processes', async () => {
      const { processes } = ProcessListResult.parse((await vm.query('ProcessList')).result)
      return processes.some(({ name }) => /sleep|busybox/.test(name))
    })
    await run
  }),
  check('processes-cap', 'ProcessList gives at most a hundred', async ({ vm }) => {
    const after = vm.mark
    const command_id = randomUUID()
    const run = vm.sh('for i in $(seq 120); do sleep 20 & done; echo go; wait', {
      command_id,
      deadline_ms: 60_000,
    })
    await vm.event('exec_output', { after, ms: 40_000 })
    const { processes } = ProcessListResult.parse((await vm.query('ProcessList')).result)
    assert.ok(processes.length <= 100)
    await vm.request('cancel', { command_id })
    await run
  }),
  check('same-id', 'two queries at once are told apart', async ({ vm }) => {
    const [fds, memory] = await Promise.all([vm.query('OpenFdCount'), vm.query('MemUsage')])
    OpenFdCountResult.parse(fds.result)
    MemUsageResult.parse(memory.result)
  }),
]
