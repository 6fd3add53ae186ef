import { afterAll, beforeAll } from 'vitest'
import type { Check } from '../conformance/check.ts'
import { Bench, type Context } from '../conformance/context.ts'
import { helperBinary, type Which } from '../support/helper-binary.ts'
import { freshImage } from '../support/image.ts'

/** Longest that one test with VMs may take. */
export const VM_TEST_MS = 170_000

/**
 * A helper and an image for the tests of one file. `own` runs a test with VMs of its own,
 * `shared` one on a VM that the file's tests share; both look for remains afterwards, as the
 * conformance kit does.
 */
export function useBench(variant: 'product' | 'test' = 'product', which: Which = 'qemu') {
  let bench: Bench | undefined
  beforeAll(async () => {
    bench = new Bench(await helperBinary(which), await freshImage('base', variant))
  })
  afterAll(() => bench?.close())
  const run =
    (needs: Check['needs'], body: (context: Context) => Promise<unknown>, deadlineMs: number) => async () => {
      if (!bench) throw new Error('the bench was not set up')
      await bench.run({
        id: 'test',
        section: '§4',
        title: '',
        needs,
        deadlineMs,
        run: async (context) => void (await body(context)),
      })
    }
  return {
    own: (body: (context: Context) => Promise<unknown>, deadlineMs = VM_TEST_MS - 20_000) =>
      run('own-vm', body, deadlineMs),
    shared: (body: (context: Context) => Promise<void>) => run('vm', body, VM_TEST_MS - 20_000),
  }
}
