import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { helperBinary } from '../support/helper-binary.ts'
import { freshImage } from '../support/image.ts'
import { DEFAULT_DEADLINE_MS } from './check.ts'
import { checks } from './checks/index.ts'
import { Bench } from './context.ts'

/** The whole kit against one of our helpers. */
export function describeConformance(which: 'qemu' | 'vz'): void {
  describe(`conformance of the ${which} helper`, () => {
    let bench: Bench
    beforeAll(async () => {
      bench = new Bench(await helperBinary(which), await freshImage())
    })
    afterAll(() => bench.close())

    it('has no two checks of one id', () => {
      const ids = checks.map((check) => check.id)
      expect(ids.filter((id, at) => ids.indexOf(id) !== at)).toEqual([])
    })

    for (const check of checks)
      if (check.backend === undefined || check.backend === which)
        it(
          `${check.section} ${check.id}: ${check.title}`,
          () => bench.run(check),
          (check.deadlineMs ?? DEFAULT_DEADLINE_MS) + 120_000,
        )
  })
}
