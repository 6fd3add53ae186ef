import { readFileSync, readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Context } from '../conformance/context.ts'
import { corruptByte } from '../support/corrupt.ts'
import { until } from '../support/deadline.ts'
import type { Scratch } from '../support/scratch.ts'
import { VM_TEST_MS, useBench } from './bench.ts'

/** A golden snapshot that was touched is set aside by name, reported, and made again (wire-protocol §4). */
describe('a golden snapshot that was tampered with is not used', () => {
  const bench = useBench()

  const goldenDir = (scratch: Scratch) => scratch.path('state', 'golden')
  const snapshot = (scratch: Scratch): string => {
    const [name] = readdirSync(goldenDir(scratch))
    if (name === undefined) throw new Error('there is no golden snapshot')
    return join(goldenDir(scratch), name)
  }
  /** Files of the snapshot, biggest first: RAM, then device state, then the manifests. */
  const files = (scratch: Scratch) =>
    readdirSync(snapshot(scratch))
      .map((name) => join(snapshot(scratch), name))
      .sort((a, b) => statSync(b).size - statSync(a).size)

  /** Boots over a touched snapshot: a cold boot that says why, the old one set aside, a new one that works. */
  async function remade(context: Context, spoil: (scratch: Scratch) => void) {
    const scratch = await context.golden()
    spoil(scratch)
    const helper = context.boot(scratch)
    const result = await helper.ready()
    expect(result.boot_path).toBe('cold_boot')
    const said = `${result.cold_boot_reason ?? ''}\n${helper
      .events('log')
      .map(({ message }) => message)
      .join('\n')}\n${helper.stderr}`
    expect(said).toMatch(/SNAPSHOT_CORRUPT/)
    expect(result.cold_boot_reason).toMatch(/\w+ \w+/)
    await helper.standbyReady()
    expect((await helper.reset()).verification_passed).toBe(true)
    expect((await helper.exec('echo', { text: 'x' })).exit_code).toBe(0)
    return helper
  }

  const byte = (which: number, part: number) => (scratch: Scratch) => {
    const path = files(scratch)[which]
    if (path === undefined) throw new Error('the snapshot has fewer files')
    corruptByte(path, Math.floor(statSync(path).size * part))
  }

  it(
    'one byte of its RAM; the one made anew is used at the next start',
    bench.own(async (context) => {
      const helper = await remade(context, byte(0, 0.5))
      await helper.shutdown()
      const again = context.boot(helper.scratch)
      expect((await again.ready()).boot_path).toBe('fast_snapshot')
    }),
    VM_TEST_MS,
  )
  it(
    'the first byte of its RAM',
    bench.own((context) => remade(context, byte(0, 0))),
    VM_TEST_MS,
  )
  it(
    'one byte of its device state',
    bench.own((context) => remade(context, byte(1, 0.5))),
    VM_TEST_MS,
  )
  it(
    'RAM cut short',
    bench.own((context) =>
      remade(context, (scratch) => {
        const [ram = ''] = files(scratch)
        truncateSync(ram, statSync(ram).size - 4096)
      }),
    ),
    VM_TEST_MS,
  )

  /** Every JSON file of the snapshot, with one value changed and the code that authenticates it left as it was. */
  const edited = (pattern: RegExp, edit: (text: string) => string) => (scratch: Scratch) => {
    const touched = files(scratch)
      .filter((path) => path.endsWith('.json'))
      .filter((path) => pattern.test(readFileSync(path, 'utf8')))
    expect(touched.length, `a JSON file with ${String(pattern)}`).toBeGreaterThan(0)
    for (const path of touched) writeFileSync(path, edit(readFileSync(path, 'utf8')))
  }
  it(
    'the nonce in its manifest',
    bench.own((context) =>
      remade(
        context,
        edited(/"nonce"/, (text) => text.replace(/("nonce":\s*")[0-9a-f]{8}/, '$100000000')),
      ),
    ),
    VM_TEST_MS,
  )
  it(
    'the digest of the RAM in its manifest',
    bench.own((context) =>
      remade(
        context,
        edited(/"ram"/, (text) => text.replace(/("ram":\s*"sha256:)[0-9a-f]{8}/, '$100000000')),
      ),
    ),
    VM_TEST_MS,
  )
  it(
    'a manifest that is no JSON',
    bench.own((context) =>
      remade(
        context,
        edited(/"nonce"/, () => '{'),
      ),
    ),
    VM_TEST_MS,
  )
  it(
    'another key in the place of the one that signed it',
    bench.own((context) =>
      remade(context, (scratch) =>
        writeFileSync(scratch.path('config', 'manifest.key'), `${'ab'.repeat(32)}\n`),
      ),
    ),
    VM_TEST_MS,
  )
  it(
    'its baseline: a forged descriptor count is refused or measured anew, never believed',
    bench.own(async (context) => {
      const scratch = await context.golden()
      edited(/"open_fd_count"/, (text) => text.replace(/("open_fd_count":\s*)\d+/, '$1999'))(scratch)
      const helper = context.boot(scratch)
      await helper.ready()
      await helper.standbyReady()
      const reset = await helper.reset()
      expect(reset.open_fd_count_baseline).not.toBe(999)
      expect(reset.verification_passed).toBe(true)
    }),
    VM_TEST_MS,
  )

  it(
    'the touched snapshot is kept aside for a person to look at',
    bench.own(async (context) => {
      const scratch = await context.golden()
      byte(0, 0.5)(scratch)
      const helper = context.boot(scratch)
      await helper.ready()
      await helper.standbyReady()
      // The new one is written while the VM serves already.
      const left = await until(60_000, 'a second snapshot', () => {
        const found = readdirSync(goldenDir(scratch))
        return found.length >= 2 ? found : undefined
      })
      expect(
        left.some((entry) => /corrupt|aside/i.test(entry)),
        left.join(),
      ).toBe(true)
    }),
    VM_TEST_MS,
  )

  it(
    'RAM changed while VMs run from it changes nothing that runs',
    bench.own(async (context) => {
      const helper = await context.own()
      await helper.standbyReady()
      const [ram = ''] = files(helper.scratch)
      for (let at = 0; at < 64; at += 1) corruptByte(ram, Math.floor((statSync(ram).size * at) / 64))
      for (let n = 0; n < 3; n += 1) {
        expect((await helper.reset()).verification_passed).toBe(true)
        expect((await helper.exec('echo', { text: 'x' })).exit_code).toBe(0)
      }
    }),
    VM_TEST_MS,
  )
})
