import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { copyImage } from '../../support/image.ts'
import { gone } from '../../support/processes.ts'
import { group } from '../check.ts'
import { REQUIRED, hasKeys, stillServes } from '../expect.ts'

const check = group('boot', '§2', 'own-vm')

export const bootChecks = [
  check('first-line', 'the first line on stdout is boot_result, without an id', async (context) => {
    const helper = await context.own()
    const first = helper.received[0]
    assert.equal(first?.value['kind'], 'boot_result')
    hasKeys(first?.value, ...REQUIRED.boot_result)
    assert.equal('request_id' in (first?.value ?? {}), false)
  }),
  check('running', 'a good boot_result says running and carries no error', async (context) => {
    const result = await (await context.own()).bootResult()
    assert.equal(result.ok, true)
    assert.equal(result.vmm_api_state, 'running')
    assert.equal(result.error, undefined)
  }),
  check('fast', 'a second boot from the same state directory is a fast snapshot', async (context) => {
    assert.equal((await (await context.own()).bootResult()).boot_path, 'fast_snapshot')
  }),
  check('cold', 'a first boot is a cold boot and leaves a golden snapshot', async (context) => {
    const scratch = context.scratch()
    const helper = context.boot(scratch)
    const result = await helper.ready()
    assert.equal(result.boot_path, 'cold_boot')
    await stillServes(helper)
    await helper.standbyReady()
    const { golden } = await helper.status()
    assert.match(golden?.golden_hash ?? '', /^sha256:[0-9a-f]{64}$/)
    await helper.shutdown()
    assert.ok(scratch.list().some(({ path }) => path.startsWith('state/golden/')))
  }),
  check(
    'no-manifest',
    'an image without a manifest boots; status says it has none, a reset that its baseline was measured',
    async (context) => {
      const scratch = context.scratch()
      const copy = copyImage(context.image, scratch.path('image'))
      rmSync(join(copy.dir, 'manifest.json'))
      const helper = context.boot(scratch, {}, copy)
      await helper.ready()
      const status = await helper.status()
      assert.equal(status.image, null)
      await stillServes(helper)
      assert.equal((await helper.reset()).fs_hash_measured, true)
    },
  ),
  check('held', 'requests sent before boot_result are held and then answered', async (context) => {
    const helper = context.boot(await context.golden())
    const early = helper.request('status', {}, 90_000)
    const echoed = helper.exec('echo', { text: 'early' }, { deadline_ms: 60_000 })
    await helper.ready()
    const [first] = helper.received
    assert.equal(first?.value['kind'], 'boot_result', 'nothing is answered before boot_result')
    assert.equal((await early).kind, 'status_response')
    assert.equal((await echoed).exit_code, 0)
  }),
  check('shutdown-aborts', 'shutdown aborts a boot', async (context) => {
    const helper = context.boot(context.scratch())
    const request_id = randomUUID()
    helper.line({ kind: 'shutdown', request_id })
    const { code } = await helper.waitForExit()
    assert.ok(code === 0 || code === 66, `exit ${code}`)
  }),
  check('eof-aborts', 'EOF on stdin aborts a boot', async (context) => {
    const helper = context.boot(context.scratch())
    helper.closeStdin()
    const exit = await helper.waitForExit()
    assert.equal(exit.signal, null)
  }),
  check('garbage-first', 'garbage before boot_result does not stop the boot', async (context) => {
    const helper = context.boot(await context.golden())
    helper.raw('this is not JSON\n')
    await helper.ready()
    await helper.event('protocol_error')
    await stillServes(helper)
  }),
  check('cid', 'vsock_cid is what the guest reads, or absent', async (context) => {
    const helper = await context.own()
    const { vsock_cid } = await helper.bootResult()
    assert.equal((await helper.status()).vsock_cid, vsock_cid)
    if (vsock_cid !== undefined) assert.ok(vsock_cid >= 1)
  }),
  check('logs-on-stderr', 'nothing but messages of the contract comes on stdout', async (context) => {
    const helper = await context.own()
    await helper.reset()
    await helper.shutdown()
    assert.deepEqual(helper.violations, [])
  }),
  check('facts', 'status repeats the CPUs and memory that boot was given', async (context) => {
    const helper = await context.own()
    const status = await helper.status()
    assert.equal(status.cpus, 1)
    assert.equal(status.memory_mib, 256)
  }),
  check(
    'other-memory',
    'another memory size is another golden snapshot, said in boot_result',
    async (context) => {
      const scratch = await context.golden()
      const helper = context.boot(scratch, { memoryMib: 288 })
      const result = await helper.ready()
      assert.equal(result.boot_path, 'cold_boot')
      assert.ok(result.cold_boot_reason)
      const memory = await helper.query('MemUsage')
      const total = (memory.result as { bytes_total: number }).bytes_total
      assert.ok(total > 200 * 2 ** 20 && total < 288 * 2 ** 20, `${total} bytes`)
    },
  ),
  check('dies-whole', 'shutdown ends every process of the VM', async (context) => {
    const helper = await context.own()
    await helper.standbyReady()
    const processes = helper.processes
    assert.ok(processes.length >= 2, 'the VM is a process of its own')
    await helper.shutdown()
    await gone(processes)
  }),
]
